#!/usr/bin/env bash
# Fuzzes every parser of untrusted bytes for a while each: every Fuzz function in the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
grep -rl --include=*_test.go '^func Fuzz' internal | sort | while read -r file; do
  for name in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$file"); do
    echo "== $(dirname "$file") $name"
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "${seconds}s" -fuzzminimizetime 10x
  done
done
