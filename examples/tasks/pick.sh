#!/usr/bin/env bash
# Reads `bastide runtimes list -o json` and prints the runtime of a family to use: the newest that
# the machine has, else the newest that can be installed.
set -euo pipefail
family=$1
list=$(tr '{' '\n' | grep "\"runtime\":\"$family")
have=$(grep '"version"' <<<"$list" | head -1 || true)
sed -E 's/.*"runtime":"([^"]*)".*/\1/' <<<"${have:-$(head -1 <<<"$list")}"
