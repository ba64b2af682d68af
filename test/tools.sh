#!/usr/bin/env bash
# Installs the clients that the tests drive Bastide with, of pinned versions, into .tools: the aws
# CLI, boto3 and aws-sam-translator from PyPI. What is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
want="awscli==1.45.11 boto3==1.43.11 botocore==1.43.11 aws-sam-translator==1.110.0"
if [ -f .tools/versions ] && [ "$(cat .tools/versions)" = "$want" ]; then
  exit 0
fi
python=$(command -v python3) || { echo "the tests need python3 (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
echo "installing the tests' clients into .tools"
rm -rf .tools
"$python" -m venv .tools || { echo "python3 lacks venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
.tools/bin/pip install --quiet --disable-pip-version-check $want
echo "$want" > .tools/versions
