#!/usr/bin/env bash
# Fuzzes every parser of untrusted bytes for a while each: every Fuzz function below the given
# folders, or in the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# fuzz runs one target. On a busy machine go's own fuzzer may miss its deadline, which is no failing
# input and worth a second try.
fuzz() {
  for try in 1 2; do
    if go test "./$1" -run '^$' -fuzz "^$2\$" -fuzztime "${seconds}s" -fuzzminimizetime 10x 2>&1 | tee "$out"; then return; fi
    if grep -q 'Failing input' "$out" || ! grep -q 'context deadline exceeded' "$out"; then return 1; fi
  done
  return 1
}

grep -rl --include=*_test.go '^func Fuzz' "${@:-internal}" | sort | while read -r file; do
  for name in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$file"); do
    echo "== $(dirname "$file") $name"
    fuzz "$(dirname "$file")" "$name"
  done
done
