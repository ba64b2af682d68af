#!/usr/bin/env bash
# Fetches aws-lambda-rie, which bench measures beside, out of the SAM CLI's package, of a pinned version.
set -euo pipefail
cd "$(dirname "$0")/.."
package="aws-sam-cli==1.170.0"
[ "$(cat .tools/rie/version 2>/dev/null)" = "$package" ] && exit 0
machine=$(uname -m | sed s/aarch64/arm64/)
rm -rf .tools/rie
mkdir -p .tools/rie
.tools/bin/pip download --quiet --disable-pip-version-check --no-deps --dest .tools/rie "$package"
.tools/bin/python - "$machine" <<'P'
import glob, sys, zipfile
name = "samcli/local/rapid/aws-lambda-rie-" + sys.argv[1]
open(".tools/rie/aws-lambda-rie", "wb").write(zipfile.ZipFile(glob.glob(".tools/rie/*.whl")[0]).read(name))
P
chmod 755 .tools/rie/aws-lambda-rie
rm .tools/rie/*.whl
echo "$package" > .tools/rie/version
