"""Makes OCI layouts "v1" and "v2" in $LAYOUTS, of the server's python, AWS's runtime interface client
and a handler. A function of that python is called first: it has the server lay the interpreter out
under $RUNTIMES."""

import hashlib
import importlib.util
import io
import json
import os
import pathlib
import platform
import sys
import tarfile
import zipfile

from story import client, trust

fn, iam = client("lambda"), client("iam")
runtime = f"python3.{sys.version_info.minor}"

HANDLER = """
import os
import sys
import time

print("loaded by", sys.argv[1:])

def handler(event, context):
    print("called")
    do = event.get("do")
    if do == "raise":
        raise ValueError("it broke")
    if do == "exit":
        os._exit(7)
    if do == "sleep":
        time.sleep(60)
    if do == "env":
        return {k: os.environ.get(k) for k in event["names"]} | {"cwd": os.getcwd()}
    if do == "write":
        with open(event["file"], "w") as f:
            f.write("x")
    if do == "answer":
        return "x" * event["size"]
    return {"version": VERSION, "keys": sorted(event), "arn": context.invoked_function_arn, "id": context.aws_request_id,
            "left": context.get_remaining_time_in_millis()}

def other(event, context):
    return "the other"
"""

role = iam.create_role(RoleName="ric", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as z:
    z.writestr("app.py", "def handler(event, context): return 1")
fn.create_function(FunctionName="ric-base", Runtime=runtime, Role=role, Handler="app.handler", Code={"ZipFile": code.getvalue()})
assert fn.invoke(FunctionName="ric-base")["Payload"].read() == b"1"
[base] = [p for p in pathlib.Path(os.environ["RUNTIMES"]).glob(runtime + "-*") if p.is_dir()]


def tarred(fill):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        fill(t)
    return out.getvalue()


def interpreter(t):
    for name in "lib", "lib64", "bin":
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, "usr/" + name
        t.addfile(link)
    for at in "usr/lib", "usr/lib64", "usr/bin", "var/lang":
        t.add(base / at, at)


def packages(t):
    for name in "awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client":
        spec = importlib.util.find_spec(name)
        assert spec and spec.origin, f"{name} is missing: run `make tools`"
        found = pathlib.Path(spec.origin)
        found = found.parent if found.name == "__init__.py" else found
        t.add(found, "opt/client/" + found.name)


def handler(version):
    def fill(t):
        body = HANDLER.replace("VERSION", repr(version)).encode()
        info = tarfile.TarInfo("srv/app.py")
        info.size, info.mode = len(body), 0o644
        t.addfile(info, io.BytesIO(body))

    return fill


def layout(version, layers):
    blobs = pathlib.Path(os.environ["LAYOUTS"], version, "blobs", "sha256")
    blobs.mkdir(parents=True)

    def blob(kind, body):
        digest = hashlib.sha256(body).hexdigest()
        (blobs / digest).write_bytes(body)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest, "size": len(body)}

    kept = [blob("layer.v1.tar", body) for body in layers]
    config = {
        "Entrypoint": [f"/var/lang/bin/{runtime}", "-m", "awslambdaric"],
        "Cmd": ["app.handler"],
        "WorkingDir": "/srv",
        "Env": ["PATH=/var/lang/bin:/usr/bin:/bin", "PYTHONPATH=/opt/client", "COLOUR=blue", "STAGE=image", "_HANDLER=nowhere"],
    }
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    about = blob("config.v1+json", json.dumps({"architecture": machine, "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": [k["digest"] for k in kept]}}).encode())
    kind = "application/vnd.oci.image.manifest.v1+json"
    top = blob("manifest.v1+json", json.dumps({"schemaVersion": 2, "mediaType": kind, "config": about, "layers": kept}).encode())
    root = blobs.parent.parent
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


shared = [tarred(interpreter), tarred(packages)]
for v in "v1", "v2":
    layout(v, [*shared, tarred(handler(v))])
