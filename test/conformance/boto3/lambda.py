import base64
import http.client
import io
import json
import subprocess
import sys
import zipfile
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from story import ACCOUNT, REGION, client, policy, trust, until, wrong

fn, iam, s3, logs = client("lambda"), client("iam"), client("s3"), client("logs")
NAME = "story-function"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{NAME}"

CODE = """
import json, os, time, sys
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    what = event.get("what")
    if what == "fail":
        raise ValueError("as told")
    if what == "sleep":
        time.sleep(30)
    if what == "exit":
        sys.exit(3)
    if what == "tables":
        try:
            return boto3.client("dynamodb").list_tables()["TableNames"]
        except ClientError as e:
            return e.response["Error"]["Code"]
    print("said", event.get("say"))
    return {"event": event, "env": os.environ.get("COLOUR"), "who": boto3.client("sts").get_caller_identity()["Arn"] if what == "who" else None,
            "request": context.aws_request_id, "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb, "version": context.function_version}
"""


def package(text=CODE, name="app.py"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, text)
    return out.getvalue()


def invoke(payload, **more):
    answer = fn.invoke(FunctionName=more.pop("name", NAME), Payload=json.dumps(payload), **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


role = iam.create_role(RoleName="story-lambda", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
iam.attach_role_policy(RoleName="story-lambda", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
assert fn.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] > 0

# Creation, and what it refuses.
runtime = f"python3.{sys.version_info.minor}"
config = {"Runtime": runtime, "Role": role, "Handler": "app.handler", "Code": {"ZipFile": package()}}
wrong("InvalidParameterValueException", fn.create_function, FunctionName=NAME, **{**config, "Role": f"arn:aws:iam::{ACCOUNT}:role/nobody"})
wrong("InvalidParameterValueException", fn.create_function, FunctionName=NAME, **{**config, "Code": {"ZipFile": b"not a zip"}})
other = iam.create_role(RoleName="story-not-lambda", AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))["Role"]["Arn"]
wrong("InvalidParameterValueException", fn.create_function, "The role defined for the function cannot be assumed by Lambda.", FunctionName=NAME, **{**config, "Role": other})
made = fn.create_function(FunctionName=NAME, Timeout=3, MemorySize=256, Environment={"Variables": {"COLOUR": "blue"}}, Tags={"team": "blue"}, **config)
assert made["FunctionArn"] == ARN and made["CodeSha256"] and made["Version"] == "$LATEST", made
wrong("ResourceConflictException", fn.create_function, FunctionName=NAME, **config)
fn.get_waiter("function_active_v2").wait(FunctionName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
assert fn.get_function(FunctionName=NAME)["Configuration"]["State"] == "Active"
assert NAME in [f["FunctionName"] for f in fn.list_functions()["Functions"]]
wrong("ResourceNotFoundException", fn.get_function, FunctionName="story-none")

# Invocations.
answer, got = invoke({"say": "hello"}, LogType="Tail")
assert answer["StatusCode"] == 200 and "FunctionError" not in answer and answer["ExecutedVersion"] == "$LATEST", answer
assert got["event"] == {"say": "hello"} and got["env"] == "blue" and got["arn"] == ARN and str(got["memory"]) == "256", got
tail = base64.b64decode(answer["LogResult"]).decode()
assert "said hello" in tail and f"START RequestId: {got['request']}" in tail and "REPORT RequestId" in tail, tail
answer, got = invoke({"what": "who"})
assert got["who"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/story-lambda/"), got
answer, got = invoke({"what": "fail"})
assert answer["FunctionError"] == "Unhandled" and got["errorType"] == "ValueError" and got["errorMessage"] == "as told" and got["stackTrace"], got
answer, got = invoke({"what": "sleep"})
assert answer["FunctionError"] == "Unhandled" and "Task timed out after 3.00 seconds" in got["errorMessage"], got
answer, got = invoke({"what": "exit"})
assert answer["FunctionError"] == "Unhandled" and got["errorType"] in ("Runtime.ExitError", "SystemExit"), got
answer, got = invoke({"say": "again"})
assert "FunctionError" not in answer, got
assert fn.invoke(FunctionName=NAME, InvocationType="DryRun", Payload=b"{}")["StatusCode"] == 204
assert fn.invoke(FunctionName=NAME, InvocationType="Event", Payload=b'{"say": "later"}')["StatusCode"] == 202
wrong("InvalidRequestContentException", fn.invoke, FunctionName=NAME, Payload=b"{")
wrong("ResourceNotFoundException", fn.invoke, FunctionName="story-none", Payload=b"{}")

# A function may what its role may, at once.
assert invoke({"what": "tables"})[1] == "AccessDeniedException"
iam.put_role_policy(RoleName="story-lambda", PolicyName="tables", PolicyDocument=policy(("Allow", "dynamodb:ListTables", "*")))
assert isinstance(invoke({"what": "tables"})[1], list)
iam.delete_role_policy(RoleName="story-lambda", PolicyName="tables")

# Its output is in its log group.
group = f"/aws/lambda/{NAME}"
until("the output of a later call", lambda: logs.filter_log_events(logGroupName=group, filterPattern="later")["events"])

# Configuration and code, inline and from a bucket.
fn.update_function_configuration(FunctionName=NAME, Environment={"Variables": {"COLOUR": "red"}}, MemorySize=128, Description="changed")
fn.get_waiter("function_updated_v2").wait(FunctionName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
got = fn.get_function_configuration(FunctionName=NAME)
assert got["Description"] == "changed" and got["Environment"]["Variables"] == {"COLOUR": "red"} and got["LastUpdateStatus"] == "Successful", got
assert invoke({})[1]["env"] == "red"
first = fn.publish_version(FunctionName=NAME, Description="first")
assert first["Version"] == "1" and first["FunctionArn"] == ARN + ":1", first
s3.create_bucket(Bucket="story-code")
s3.put_object(Bucket="story-code", Key="two.zip", Body=package("def handler(event, context):\n    return 'two'\n"))
fn.update_function_code(FunctionName=NAME, S3Bucket="story-code", S3Key="two.zip")
fn.get_waiter("function_updated_v2").wait(FunctionName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
assert invoke({})[1] == "two"
wrong("PreconditionFailedException", fn.update_function_code, FunctionName=NAME, ZipFile=package(), RevisionId="00000000-0000-0000-0000-000000000000")
assert invoke({}, Qualifier="1")[1]["version"] == "1"
second = fn.publish_version(FunctionName=NAME)["Version"]
assert [v["Version"] for v in fn.list_versions_by_function(FunctionName=NAME)["Versions"]] == ["$LATEST", "1", second]

# Aliases.
fn.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
assert invoke({}, Qualifier="live")[1]["arn"] == ARN + ":live"
wrong("ResourceConflictException", fn.create_alias, FunctionName=NAME, Name="live", FunctionVersion="1")
fn.update_alias(FunctionName=NAME, Name="live", FunctionVersion=second)
assert fn.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"] == second
assert invoke({}, Qualifier="live")[1] == "two"
assert [a["Name"] for a in fn.list_aliases(FunctionName=NAME)["Aliases"]] == ["live"]

# Permissions of others.
fn.add_permission(FunctionName=NAME, StatementId="gateway", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com", SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:abc/*")
wrong("ResourceConflictException", fn.add_permission, FunctionName=NAME, StatementId="gateway", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
statement = json.loads(fn.get_policy(FunctionName=NAME)["Policy"])["Statement"][0]
assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"} and statement["Resource"] == ARN, statement
fn.remove_permission(FunctionName=NAME, StatementId="gateway")
wrong("ResourceNotFoundException", fn.get_policy, FunctionName=NAME)

# Tags and concurrency.
fn.tag_resource(Resource=ARN, Tags={"cost": "7"})
fn.untag_resource(Resource=ARN, TagKeys=["team"])
assert fn.list_tags(Resource=ARN)["Tags"] == {"cost": "7"}
fn.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
assert fn.get_function_concurrency(FunctionName=NAME)["ReservedConcurrentExecutions"] == 0
wrong("TooManyRequestsException", fn.invoke, FunctionName=NAME, Payload=b"{}")
fn.delete_function_concurrency(FunctionName=NAME)
assert invoke({})[1] == "two"
signing = fn.get_function_code_signing_config(FunctionName=NAME)
assert signing["FunctionName"] == NAME and not signing.get("CodeSigningConfigArn"), signing
wrong("ResourceNotFoundException", fn.get_function_code_signing_config, FunctionName="story-nobody")

# Function URLs: by host and by path, for signed callers and for everybody.
config_for_url = {**config, "Code": {"ZipFile": package("""
import base64, json

def handler(event, context):
    if event["rawPath"] == "/fail":
        raise ValueError("as told")
    if event["rawPath"] == "/full":
        return {"statusCode": 201, "headers": {"x-one": "1"}, "cookies": ["a=1"], "body": base64.b64encode(b"\\xff").decode(), "isBase64Encoded": True}
    return event
""")}}
fn.create_function(FunctionName="story-url", **config_for_url)
fn.get_waiter("function_active_v2").wait(FunctionName="story-url", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
url_arn = ARN.replace(NAME, "story-url")
wrong("ResourceNotFoundException", fn.get_function_url_config, "The resource you requested does not exist.", FunctionName="story-url")
wrong("ResourceNotFoundException", fn.create_function_url_config, "Function does not exist", FunctionName="story-none", AuthType="NONE")
wrong("ValidationException", fn.create_function_url_config, "qualifier", FunctionName="story-url", AuthType="NONE", Qualifier="1")
cors = {"AllowOrigins": ["https://app.example"], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["x-a"], "ExposeHeaders": ["x-b"], "MaxAge": 60, "AllowCredentials": True}
made = fn.create_function_url_config(FunctionName="story-url", AuthType="AWS_IAM", Cors=cors)
assert made["FunctionArn"] == url_arn and made["Cors"] == cors and made["InvokeMode"] == "BUFFERED" and made["CreationTime"].endswith("Z"), made
wrong("ResourceConflictException", fn.create_function_url_config, "FunctionUrlConfig exists for this Lambda function", FunctionName="story-url", AuthType="NONE")
by_host = made["FunctionUrl"]
url_id = urlsplit(by_host).hostname.split(".")[0]
door = urlsplit(fn.meta.endpoint_url)
by_path = f"{fn.meta.endpoint_url}/_aws/lambda-url/{url_id}/"
assert by_host == f"http://{url_id}.lambda-url.localhost:{door.port}/", by_host


def call(url, method="GET", body=None, keys=None, service="lambda", **headers):
    """Calls a URL at the door, signed where keys are given; host names need no resolver."""
    request = AWSRequest(method=method, url=url, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    if keys:
        SigV4Auth(keys, service, REGION).add_auth(request)
    to = urlsplit(url)
    link = http.client.HTTPConnection(door.hostname, door.port)
    link.request(method, to.path + (f"?{to.query}" if to.query else ""), body, {"Host": to.netloc, **dict(request.headers.items())})
    got = link.getresponse()
    return got.status, got.headers, got.read()


admin = boto3.Session().get_credentials()
for url in (by_host, by_path, f"http://{url_id}.lambda-url.{REGION}.localhost:{door.port}/", f"http://{url_id}.lambda-url.{REGION}.on.aws/"):
    status, _, body = call(url + "a/b?x=1", "POST", b'{"k": 1}', admin, content_type="application/json", cookie="c=1")
    got = json.loads(body)
    context = got["requestContext"]
    assert status == 200 and got["rawPath"] == "/a/b" and got["rawQueryString"] == "x=1" and got["body"] == '{"k": 1}' and got["cookies"] == ["c=1"], got
    assert context["apiId"] == url_id and context["accountId"] == ACCOUNT and context["authorizer"]["iam"]["userArn"].startswith(f"arn:aws:iam::{ACCOUNT}:user/"), got
    assert call(url)[0] == 403 and call(url, keys=admin, service="execute-api")[0] == 403
status, headers, body = call(by_path + "full", keys=admin)
assert (status, headers["x-one"], headers["Set-Cookie"], body) == (201, "1", "a=1", b"\xff"), (status, headers.items(), body)
status, _, body = call(by_path + "fail", keys=admin)
assert (status, body) == (502, b"Internal Server Error"), (status, body)
status, headers, _ = call(by_host, "OPTIONS", origin="https://app.example", access_control_request_method="POST")
assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://app.example" and headers["Access-Control-Allow-Methods"] == "GET,POST", headers.items()

# A user needs both actions; the function's policy may give what the user's does not.
iam.create_user(UserName="story-caller")
caller_keys = iam.create_access_key(UserName="story-caller")["AccessKey"]
caller = Credentials(caller_keys["AccessKeyId"], caller_keys["SecretAccessKey"])
status, headers, body = call(by_path, keys=caller)
assert status == 403 and headers["x-amzn-ErrorType"] == "AccessDeniedException" and json.loads(body)["Message"].startswith("Forbidden. For troubleshooting"), body
iam.put_user_policy(UserName="story-caller", PolicyName="call", PolicyDocument=policy(
    {"Effect": "Allow", "Action": "lambda:InvokeFunctionUrl", "Resource": url_arn, "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}}))
assert call(by_path, keys=caller)[0] == 403
caller_arn = f"arn:aws:iam::{ACCOUNT}:user/story-caller"
fn.add_permission(FunctionName="story-url", StatementId="caller", Action="lambda:InvokeFunction", Principal=caller_arn, InvokedViaFunctionUrl=True)
assert call(by_path, keys=caller)[0] == 200
wrong("AccessDeniedException", client("lambda", caller_keys).invoke, FunctionName="story-url", Payload=b"{}")  # but not directly

# Everybody, once the function's policy says so twice.
changed = fn.update_function_url_config(FunctionName="story-url", AuthType="NONE", Cors={})
assert changed["AuthType"] == "NONE" and "Cors" not in changed and changed["FunctionUrl"] == by_host, changed
assert call(by_path)[0] == 403
fn.add_permission(FunctionName="story-url", StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
assert call(by_path)[0] == 403
fn.add_permission(FunctionName="story-url", StatementId="invoke", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True)
status, _, body = call(by_host)
assert status == 200 and "authorizer" not in json.loads(body)["requestContext"], body
fn.put_function_concurrency(FunctionName="story-url", ReservedConcurrentExecutions=0)
status, headers, body = call(by_host)
assert status == 429 and json.loads(body)["message"] == "Rate Exceeded.", body
fn.delete_function_concurrency(FunctionName="story-url")

# An alias has a URL of its own; each ends with what it leads to.
fn.publish_version(FunctionName="story-url")
fn.create_alias(FunctionName="story-url", Name="live", FunctionVersion="1")
live = fn.create_function_url_config(FunctionName="story-url", Qualifier="live", AuthType="AWS_IAM")
assert json.loads(call(live["FunctionUrl"], keys=admin)[2])["requestContext"]["apiId"] in live["FunctionUrl"]
assert [u["FunctionArn"] for u in fn.list_function_url_configs(FunctionName="story-url")["FunctionUrlConfigs"]] == [url_arn, url_arn + ":live"]
fn.delete_function_url_config(FunctionName="story-url")
wrong("ResourceNotFoundException", fn.get_function_url_config, FunctionName="story-url")
assert fn.get_function_url_config(FunctionName="story-url", Qualifier="live")["FunctionUrl"] == live["FunctionUrl"]
assert call(by_host)[0] == 403
fn.delete_function(FunctionName="story-url")
assert call(live["FunctionUrl"], keys=admin)[0] == 403
iam.delete_access_key(UserName="story-caller", AccessKeyId=caller_keys["AccessKeyId"])
iam.delete_user_policy(UserName="story-caller", PolicyName="call")
iam.delete_user(UserName="story-caller")
until("the URL's output", lambda: logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/story-url")["logGroups"])
logs.delete_log_group(logGroupName="/aws/lambda/story-url")

# Streamed answers: events as they come, and through a URL of mode RESPONSE_STREAM status and headers before the body.
node = "nodejs" + subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip().lstrip("v").split(".")[0] + ".x"
fn.create_function(FunctionName="story-stream", **{**config, "Runtime": node, "Handler": "app.handler", "Timeout": 20, "Code": {"ZipFile": package("""
const http = require('http');
const { setTimeout: sleep } = require('timers/promises');
const there = (path, host) => new Promise((ok) => {
  http.get({ port: new URL(process.env.AWS_ENDPOINT_URL).port, path, headers: { host } }, (r) => r.resume().on('end', () => ok(r.statusCode === 200)));
});
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  if (event.rawPath === undefined) {
    out.write('{"n":');
    if (event.fail) throw new TypeError('as told');
    await sleep(20);
    out.end('1}');
    return;
  }
  out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { 'content-type': 'text/event-stream' }, cookies: ['a=1'] });
  out.write('data: first\\n\\n');
  if (event.rawPath === '/fail') throw new TypeError('as told');
  while (!await there(event.headers['x-signal'], event.headers['x-host'])) await sleep(20);
  out.end('data: last\\n\\n');
});
""", "app.js")}})
fn.get_waiter("function_active_v2").wait(FunctionName="story-stream", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def streamed(**more):
    answer = fn.invoke_with_response_stream(**{"FunctionName": "story-stream", "Payload": b"{}", **more})
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST", answer
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream", answer
    events = list(answer["EventStream"])
    return [e["PayloadChunk"]["Payload"] for e in events[:-1]], events[-1]["InvokeComplete"]


chunks, end = streamed(LogType="Tail")
assert chunks == [b'{"n":', b"1}"] and "ErrorCode" not in end and b"REPORT RequestId: " in base64.b64decode(end["LogResult"]), (chunks, end)
chunks, end = streamed(Payload=b'{"fail": true}')
assert chunks == [b'{"n":'] and end["ErrorCode"] == "Unhandled" and json.loads(end["ErrorDetails"])["errorMessage"] == "as told", (chunks, end)
assert invoke({}, name="story-stream")[1] == {"n": 1}  # and as a whole
chunks, end = streamed(FunctionName=NAME, Payload=b'{"say": "x"}')
assert chunks == [b'"two"'] and end == {}, (chunks, end)  # its code is the second by now
assert fn.invoke_with_response_stream(FunctionName="story-stream", InvocationType="DryRun")["StatusCode"] == 204
wrong("ResourceNotFoundException", fn.invoke_with_response_stream, FunctionName="story-none", Payload=b"{}")
wrong("InvalidRequestContentException", fn.invoke_with_response_stream, FunctionName="story-stream", Payload=b"{")

made = fn.create_function_url_config(FunctionName="story-stream", AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
assert made["InvokeMode"] == fn.get_function_url_config(FunctionName="story-stream")["InvokeMode"] == "RESPONSE_STREAM", made


signal = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": "story-code", "Key": "go"}))


def flow(path):
    """Opens a streamed answer of the URL at the door; the body is yet to be read."""
    request = AWSRequest(method="GET", url=made["FunctionUrl"] + path, headers={"x-signal": f"{signal.path}?{signal.query}", "x-host": signal.netloc})
    SigV4Auth(admin, "lambda", REGION).add_auth(request)
    link = http.client.HTTPConnection(door.hostname, door.port)
    link.request("GET", "/" + path, None, {"Host": urlsplit(made["FunctionUrl"]).netloc, **dict(request.headers.items())})
    return link.getresponse()


assert call(made["FunctionUrl"])[0] == 403
got = flow("")
assert (got.status, got.headers["Content-Type"], got.headers["Set-Cookie"], got.headers["Content-Length"]) == (201, "text/event-stream", "a=1", None), got.headers.items()
assert got.readline() == b"data: first\n"
s3.put_object(Bucket="story-code", Key="go", Body=b"")  # the function waits for it
assert got.read() == b"\ndata: last\n\n"
s3.delete_object(Bucket="story-code", Key="go")
try:
    raise AssertionError(f"a body that broke off looks whole: {flow('fail').read()}")
except http.client.IncompleteRead as e:
    assert e.partial == b"data: first\n\n", e
assert fn.update_function_url_config(FunctionName="story-stream", InvokeMode="BUFFERED")["InvokeMode"] == "BUFFERED"
assert call(made["FunctionUrl"], keys=admin)[0] == 502  # the metadata and body of a stream are no JSON
fn.delete_function(FunctionName="story-stream")
until("the stream's output", lambda: logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/story-stream")["logGroups"])
logs.delete_log_group(logGroupName="/aws/lambda/story-stream")

# Layers.
layer = fn.publish_layer_version(LayerName="story-layer", Content={"ZipFile": package("WORD = 'layered'\n", "python/words.py")}, CompatibleRuntimes=[runtime], Description="words")
assert layer["Version"] == 1 and layer["LayerVersionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:story-layer:1", layer
assert fn.get_layer_version(LayerName="story-layer", VersionNumber=1)["Description"] == "words"
assert fn.get_layer_version_by_arn(Arn=layer["LayerVersionArn"])["Version"] == 1
assert [v["Version"] for v in fn.list_layer_versions(LayerName="story-layer")["LayerVersions"]] == [1]
assert "story-layer" in [v["LayerName"] for v in fn.list_layers()["Layers"]]
fn.create_function(FunctionName="story-layered", Layers=[layer["LayerVersionArn"]],
                   **{**config, "Code": {"ZipFile": package("import words\ndef handler(event, context):\n    return words.WORD\n")}})
fn.get_waiter("function_active_v2").wait(FunctionName="story-layered", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
assert invoke({}, name="story-layered")[1] == "layered"
fn.delete_layer_version(LayerName="story-layer", VersionNumber=1)
assert invoke({}, name="story-layered")[1] == "layered"  # functions that have it keep it

# Who may not pass a role makes no function with it.
iam.create_user(UserName="story-developer")
iam.put_user_policy(UserName="story-developer", PolicyName="own", PolicyDocument=policy(("Allow", "lambda:*", "*")))
keys = iam.create_access_key(UserName="story-developer")["AccessKey"]
wrong("AccessDeniedException", client("lambda", keys).create_function, "iam:PassRole", FunctionName="story-passed", **config)

# All gone again.
fn.delete_alias(FunctionName=NAME, Name="live")
wrong("ResourceNotFoundException", fn.get_alias, FunctionName=NAME, Name="live")
fn.delete_function(FunctionName="story-layered")
fn.delete_function(FunctionName=NAME)
wrong("ResourceNotFoundException", fn.invoke, FunctionName=NAME, Payload=b"{}")
s3.delete_object(Bucket="story-code", Key="two.zip")
s3.delete_bucket(Bucket="story-code")
logs.delete_log_group(logGroupName=group)
until("the other's output", lambda: logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/story-layered")["logGroups"])
logs.delete_log_group(logGroupName="/aws/lambda/story-layered")
iam.delete_access_key(UserName="story-developer", AccessKeyId=keys["AccessKeyId"])
iam.delete_user_policy(UserName="story-developer", PolicyName="own")
iam.delete_user(UserName="story-developer")
iam.detach_role_policy(RoleName="story-lambda", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
iam.delete_role(RoleName="story-lambda")
iam.delete_role(RoleName="story-not-lambda")
