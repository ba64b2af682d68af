#!/usr/bin/env bash
# Runs the tasks application on this machine and calls it: one request allowed, one without a
# token, one that IAM refuses, with the reason. Everything that it starts ends with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
bastide=$PWD/bin/bastide
data=${BASTIDE_DEMO_DATA:-$(mktemp -d)}
keep=${BASTIDE_DEMO_DATA:+yes}
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  [ -n "$keep" ] || rm -rf "$data"
}
trap finish EXIT

fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
command -v curl >/dev/null || fail "curl is not on this machine"
[ -x "$bastide" ] || fail "build first: make build"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

# The runtimes: those that this machine has; node is installed from the registry where it has none.
have=$("$bastide" runtimes list --data "$data" -o json)
node=$(examples/tasks/pick.sh nodejs <<<"$have")
python=$(examples/tasks/pick.sh python <<<"$have")
"$bastide" runtimes install --data "$data" "$node" "$python" ||
  fail "two functions of this application run on $node, two on $python; see above what is missing"

say "An issuer of tokens, for trying the application"
go build -o "$data/issuer" ./examples/tasks/issuer
"$data/issuer" -listen 127.0.0.1:0 >"$data/issuer.out" &
pids+=($!)
until grep -q ready "$data/issuer.out"; do kill -0 "${pids[0]}"; sleep 0.1; done
issuer=$(sed -n 's/^ready //p' "$data/issuer.out")
echo "$issuer"

say "bastide serve, bastide up --once"
# The usual port, or any other where that one is taken.
serve() {
  "$bastide" serve --data "$data" --listen "$1" --allow-issuer "$issuer" >"$data/serve.out" 2>"$data/serve.err" &
  server=$!
  until grep -q ready "$data/serve.out"; do kill -0 "$server" 2>/dev/null || return 1; sleep 0.1; done
  pids+=("$server")
}
serve "${BASTIDE_DEMO_LISTEN:-127.0.0.1:4566}" || { grep -q -- --listen "$data/serve.err" && serve 127.0.0.1:0; } || fail "$(cat "$data/serve.err")"
"$bastide" up examples/tasks --once --data "$data" --stack tasks -p "Issuer=$issuer" -p "NodeRuntime=$node" -p "PythonRuntime=$python"

eval "$("$bastide" env --data "$data")"
url=$("$bastide" acknowledge --data "$data" -o json | examples/tasks/url.sh)
[ -n "$url" ] || fail "the application has no address"
token=$(curl -sf "$issuer/token?sub=ana")

say "Allowed: ana makes a task"
curl -s -w '\n%{http_code}\n' "$url/tasks" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{"title":"try Bastide"}'
tasks=$(curl -sf "$url/tasks" -H "Authorization: Bearer $token")
echo "$tasks"
id=$(sed -E 's/.*"id": ?"([^"]*)".*/\1/' <<<"$tasks")

say "Refused: nobody, without a token"
curl -s -w '\n%{http_code}\n' "$url/tasks"

say "Refused by IAM: the function that deletes was given no permission to"
refused=$(curl -s -w '\n%{http_code}' -X DELETE "$url/tasks/$id" -H "Authorization: Bearer $token")
echo "$refused"
request=$(sed -nE 's/.*"requestId": ?"([^"]*)".*/\1/p' <<<"$refused")

say "bastide why $request"
"$bastide" why "$request" --data "$data"

say "What the application's functions asked of the table, from the audit trail"
"$bastide" audit query --data "$data" --source dynamodb.amazonaws.com --max 20
"$bastide" audit verify --data "$data"

say "That was all: the server has ended with this. To keep one: bin/bastide up examples/tasks -p Issuer=https://YOUR.ISSUER"
