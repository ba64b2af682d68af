#!/usr/bin/env bash
# Installs the clients that the tests drive Bastide with, of pinned versions, into .tools: the aws
# CLI, boto3, aws-sam-translator and the client of Lambda's Runtime API from PyPI; and runsc, the gVisor
# that the sandbox suites run against, from Debian's package or, where that cannot be had, built from its
# Go module. What is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

# gVisor's module has no releases; this is the commit of a weekly one
gvisor="gvisor.dev/gvisor/runsc@v0.0.0-20260905035102-160fafc42237"
have_runsc() { PATH="$PWD/.tools/bin:$PATH" command -v runsc >/dev/null; }
install_runsc() {
  have_runsc && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing runsc from Debian"
    (apt-get install -y -q --no-install-recommends runsc || { apt-get update -q && apt-get install -y -q --no-install-recommends runsc; }) >/dev/null 2>&1 || true
    have_runsc && return
  fi
  echo "building runsc from $gvisor"
  mkdir -p .tools/bin
  GOBIN="$PWD/.tools/bin" CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "$gvisor" || true
  have_runsc || { echo "runsc could be neither installed nor built from $gvisor; without it the suites of the sandbox drivers fail" >&2; exit 1; }
}

# what gives an ordinary user's sandboxes users of their own; its tests grant the ids themselves
have_uidmap() { command -v newuidmap >/dev/null && command -v newgidmap >/dev/null && [ -e /etc/subuid ] && [ -e /etc/subgid ]; }
install_uidmap() {
  have_uidmap && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing uidmap from Debian"
    (apt-get install -y -q --no-install-recommends uidmap || { apt-get update -q && apt-get install -y -q --no-install-recommends uidmap; }) >/dev/null 2>&1 || true
    touch /etc/subuid /etc/subgid
  fi
  have_uidmap || echo "the tests of subordinate ids need newuidmap (Debian: apt-get install uidmap) and the files /etc/subuid and /etc/subgid" >&2
}

# a real database that functions reach
have_postgres() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; }
install_postgres() {
  have_postgres && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing PostgreSQL from Debian"
    (apt-get install -y -q --no-install-recommends postgresql || { apt-get update -q && apt-get install -y -q --no-install-recommends postgresql; }) >/dev/null 2>&1 || true
  fi
  have_postgres || echo "the tests of functions and databases need PostgreSQL (Debian: apt-get install postgresql)" >&2
}

want="awscli==1.45.11 boto3==1.43.11 botocore==1.43.11 aws-sam-translator==1.110.0 pg8000==1.31.2 awslambdaric==4.2.2 simplejson==4.3.0 snapshot-restore-py==1.0.0"
if [ -f .tools/versions ] && [ "$(cat .tools/versions)" = "$want" ]; then
  install_runsc
  install_uidmap
  install_postgres
  exit 0
fi
python=$(command -v python3) || { echo "the tests need python3 (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
echo "installing the tests' clients into .tools"
rm -rf .tools
"$python" -m venv .tools || { echo "python3 lacks venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
.tools/bin/pip install --quiet --disable-pip-version-check $want
echo "$want" > .tools/versions
install_runsc
install_uidmap
install_postgres
