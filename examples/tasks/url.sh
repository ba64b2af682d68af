#!/usr/bin/env bash
# Reads `bastide acknowledge -o json` (the list of routes) and prints where the tasks API answers:
# the path form, which every client can resolve.
set -euo pipefail
tr ' ' '\n' | tr '"' '\n' | sed -nE 's#(http://[^ ]*/_aws/execute-api/[^/]+/[^/]+)/tasks$#\1#p' | head -1
