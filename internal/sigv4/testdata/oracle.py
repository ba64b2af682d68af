"""Sign requests with botocore's own clients and print them, one JSON object a line.

The requests are caught before they are sent. Arguments: access key id, secret, session token.
"""
import base64
import io
import json
import sys

import boto3
from botocore.config import Config

key, secret, token = sys.argv[1:4]
ENDPOINT = "https://localhost:4566"


class Caught(BaseException):
    """Ends a call before it is sent."""


def show(name, method, url, headers, body, service, s3):
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    pairs = []
    for k, v in headers.items():
        pairs.append([k, v.decode() if isinstance(v, bytes) else v])
    print(json.dumps({
        "name": name, "method": method, "url": url, "headers": pairs, "service": service, "s3": s3,
        "body": base64.b64encode(body or b"").decode(),
    }))


def client(service, with_token=True, **config):
    c = boto3.client(
        service, region_name="eu-west-1", endpoint_url=ENDPOINT,
        aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token if with_token else None,
        config=Config(retries={"total_max_attempts": 1}, **config))

    def catch(request, event_name, **kwargs):
        scope = str(request.headers["Authorization"], "ascii") if isinstance(request.headers["Authorization"], bytes) else request.headers["Authorization"]
        show(event_name.split(".", 1)[1], request.method, request.url, request.headers, request.body,
             scope.split("/")[3], service == "s3")
        raise Caught

    c.meta.events.register("before-send", catch)
    return c


def call(method, **arguments):
    try:
        method(**arguments)
    except Caught:
        return
    raise SystemExit("not caught: " + method.__name__)


call(client("sts").get_caller_identity)
call(client("iam").create_role, RoleName="r", AssumeRolePolicyDocument="{}", Path="/a b/+~é/")
call(client("dynamodb").put_item, TableName="t", Item={"k": {"S": "\u1234" * 100}})
lam = client("lambda")
call(lam.invoke, FunctionName="arn:aws:lambda:eu-west-1:123456789012:function:f:live", Payload=b"{}" * 500)
call(lam.list_tags, Resource="arn:aws:lambda:eu-west-1:123456789012:function:f")
call(client("apigatewayv2").get_api, ApiId="a b//..")
call(client("logs").put_log_events, logGroupName="/aws/x", logStreamName="2024/[1]", logEvents=[{"timestamp": 1, "message": "m"}])

path = {"addressing_style": "path"}
KEYS = ["plain", "a b+c&d=e?f#g", "dir//x/../y/./", "é/\u1234/%2F%", "!*'()~$@,;:[]{}|^`\"<>\\"]
for when in ("when_supported", "when_required"):
    s3 = client("s3", request_checksum_calculation=when, s3=path)
    for k in KEYS:
        call(s3.put_object, Bucket="bucket", Key=k, Body=b"hello" * 20, Metadata={"a": "  x   y "}, Tagging="a=b&c=d")
        call(s3.get_object, Bucket="bucket", Key=k, Range="bytes=0-9")
    call(s3.list_objects_v2, Bucket="bucket", Prefix="a b+&=é", Delimiter="/", EncodingType="url")
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        call(s3.put_object, Bucket="bucket", Key="sum", Body=io.BytesIO(b"x" * 70000), ChecksumAlgorithm=algorithm)
signed = client("s3", s3={"payload_signing_enabled": True, "addressing_style": "path"})
call(signed.put_object, Bucket="bucket", Key="signed", Body=b"signed")

for with_token in (True, False):
    s3 = client("s3", with_token, signature_version="s3v4", s3=path)
    for operation, method, arguments, headers in (
            ("get_object", "GET", {"Key": KEYS[1], "ResponseContentType": "text/plain; x=y"}, {}),
            ("get_object", "GET", {"Key": KEYS[4]}, {}),
            ("put_object", "PUT", {"Key": "k", "ContentType": "text/plain", "Metadata": {"a": "b"}},
             {"Content-Type": "text/plain", "x-amz-meta-a": "b"})):
        url = s3.generate_presigned_url(operation, Params={"Bucket": "bucket", **arguments}, ExpiresIn=300)
        show("presigned %s token=%s" % (operation, with_token), method, url, headers, b"", "s3", True)
url = client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
show("presigned sts", "GET", url, {}, b"", "sts", False)
