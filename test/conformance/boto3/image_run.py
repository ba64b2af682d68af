"""Functions whose program is AWS's runtime interface client for python, from images that were loaded."""

import base64
import json

from story import ACCOUNT, REGION, client, wrong

fn = client("lambda")
uri = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ric"
arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:ric"
config = {"Role": f"arn:aws:iam::{ACCOUNT}:role/ric", "PackageType": "Image", "Timeout": 20, "MemorySize": 512}
SIX_MB = 6 << 20


def invoke(event=None, name="ric", **more):
    answer = fn.invoke(FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail", **more)
    return json.loads(answer["Payload"].read()), answer.get("FunctionError"), base64.b64decode(answer["LogResult"]).decode()


made = fn.create_function(FunctionName="ric", Code={"ImageUri": uri + ":v1"}, Environment={"Variables": {"COLOUR": "green"}}, Publish=True, **config)
assert made["PackageType"] == "Image" and made["Version"] == "1" and "Runtime" not in made, made
fn.create_alias(FunctionName="ric", Name="live", FunctionVersion="1")

got, failed, log = invoke({"a": 1})
assert failed is None and got["version"] == "v1" and got["keys"] == ["a"] and got["arn"] == arn and 0 < got["left"] <= 20000, got
assert "loaded by ['app.handler']" in log and "Init Duration" in log and f"RequestId: {got['id']}" in log, log

got, failed, _ = invoke({"do": "env", "names": ["COLOUR", "STAGE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "_HANDLER"]})
assert got == {"COLOUR": "green", "STAGE": "image", "AWS_LAMBDA_FUNCTION_NAME": "ric", "AWS_REGION": REGION, "_HANDLER": "", "cwd": "/srv"}, got

got, failed, log = invoke({"do": "raise"})
assert failed == "Unhandled" and got["errorType"] == "ValueError" and got["errorMessage"] == "it broke" and got["stackTrace"], got
assert "[ERROR] ValueError: it broke" in log and "Error Type: ValueError" in log, log
assert "Init Duration" not in log, "a handler's error ended its sandbox"

got, failed, log = invoke({"do": "exit"})
assert failed == "Unhandled" and got["errorType"] == "Runtime.ExitError" and "exit status 7" in got["errorMessage"], got
assert invoke()[1] is None, "nothing runs after an exit"

got, failed, _ = invoke({"do": "write", "file": "/srv/x"})
assert failed == "Unhandled" and got["errorType"] == "OSError" and "Read-only" in got["errorMessage"], got
assert invoke({"do": "write", "file": "/tmp/x"})[1] is None

# What goes in and comes out has AWS's bounds.
got, failed, _ = invoke({"pad": "x" * (SIX_MB - 100)})
assert failed is None and got["keys"] == ["pad"], got
wrong("RequestEntityTooLargeException", fn.invoke, FunctionName="ric", Payload=b'"' + b"x" * SIX_MB + b'"')
got, failed, _ = invoke({"do": "answer", "size": SIX_MB - 100})
assert failed is None and len(got) == SIX_MB - 100, (failed, len(got))
got, failed, _ = invoke({"do": "answer", "size": SIX_MB + 1000})
assert failed == "Unhandled" and got["errorType"] == "Function.ResponseSizeTooLarge", got

# Code is updated; versions and aliases keep theirs.
assert fn.update_function_code(FunctionName="ric", ImageUri=uri + ":v2", Publish=True)["Version"] == "2"
assert invoke()[0]["version"] == "v2"
got = invoke(Qualifier="live")[0]
assert got["version"] == "v1" and got["arn"] == arn + ":live", got
fn.update_alias(FunctionName="ric", Name="live", FunctionVersion="2")
assert invoke(Qualifier="live")[0]["version"] == "v2"

# ImageConfig comes over what the image says.
fn.create_function(FunctionName="ric-other", Code={"ImageUri": uri + ":v2"}, ImageConfig={"Command": ["app.other"], "WorkingDirectory": "/srv"}, **config)
assert invoke(name="ric-other")[0] == "the other"
for command, kind in {"app.none": "Runtime.HandlerNotFound", "none.handler": "Runtime.ImportModuleError", "none": "Runtime.MalformedHandlerName"}.items():
    fn.update_function_configuration(FunctionName="ric-other", ImageConfig={"Command": [command]})
    got, failed, log = invoke(name="ric-other")
    assert failed == "Unhandled" and got["errorType"] == kind, (command, got)
    assert "Phase: init" in log, log
fn.update_function_configuration(FunctionName="ric-other", ImageConfig={"EntryPoint": ["python3", "-u", "-m", "awslambdaric"], "Command": ["app.handler"]}, Timeout=1)
assert invoke(name="ric-other")[0]["version"] == "v2"
got, failed, log = invoke({"do": "sleep"}, name="ric-other")
assert failed == "Unhandled" and got["errorType"] == "Sandbox.Timedout" and "Task timed out after 1.00 seconds" in got["errorMessage"], got
