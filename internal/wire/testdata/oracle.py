"""Calls operations at an endpoint with botocore, the client library of boto3 and the aws CLI.

Usage: oracle.py ENDPOINT, with lines "SERVICE OPERATION" on standard input. For each it makes
parameters for every member of the operation's input from botocore's own model, calls it, and
prints one line of JSON: what it sent and what it got.
"""

import base64
import datetime
import json
import sys

import botocore.session
from botocore.config import Config
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, tzinfo=datetime.timezone.utc)

# Members that botocore itself changes or computes.
LEFT_OUT = ("SSECustomer", "CopySourceSSECustomer", "Checksum", "ContentMD5", "ContentLength", "ContentEncoding", "Expires")

FIXED = {
    ("s3", "Bucket"): "bucket-one",
    ("s3", "Key"): "dir/key one+\u00fc//x",
    ("s3", "CopySource"): "bucket-two/some-key",
}


def sample(service, name, shape, depth=0):
    kind = shape.type_name
    if (service, name) in FIXED and kind == "string":
        return FIXED[(service, name)]
    if shape.name == "AttributeValue":
        return {"M": {"a": {"L": [{"S": "\u00e4\"\\"}, {"N": "1.5"}, {"B": b"\x00\xff"}, {"NULL": True}]}}}
    if kind == "structure":
        if depth > 5:
            return {}
        out = {}
        for member, sub in shape.members.items():
            if service == "s3" and member.startswith(LEFT_OUT):
                continue
            if member in ("DestinationRegion", "SourceRegion", "PreSignedUrl"):
                continue
            value = sample(service, member, sub, depth + 1)
            if value is not None:
                out[member] = value
            if shape.is_tagged_union:
                break
        return out
    if kind == "list":
        n = max(2, shape.metadata.get("min", 0))
        return [sample(service, name, shape.member, depth + 1) for _ in range(n)]
    if kind == "map":
        n = max(1, shape.metadata.get("min", 0))
        keys = ["key%d" % i for i in range(n)]
        if shape.key.enum:
            keys = shape.key.enum[:n]
        return {k: sample(service, name, shape.value, depth + 1) for k in keys}
    if kind == "string":
        if getattr(shape, "enum", None):
            return shape.enum[0]
        text = "%s & <\u00e9> \"%s\"" % (name, depth)
        if shape.serialization.get("location") in ("header", "headers") or name in ("Metadata", "ClientContext"):
            text = "%s & <x>" % name
        return text.ljust(shape.metadata.get("min", 0), "x")
    if kind == "boolean":
        return True
    if kind in ("integer", "long"):
        return max(7, shape.metadata.get("min", 0))
    if kind in ("float", "double"):
        return max(1.5, float(shape.metadata.get("min", 0)))
    if kind == "timestamp":
        return MOMENT
    if kind == "blob":
        return b"\x00blob\xff" if not shape.serialization.get("streaming") else b"stream"
    raise ValueError(kind)


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, StreamingBody):
        return plain(value.read())
    if isinstance(value, EventStream):
        return [plain(event) for event in value]
    if isinstance(value, datetime.datetime):
        return {"$time": value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return value


def main():
    session = botocore.session.get_session()
    session.set_credentials("AKIDEXAMPLE", "secret", "token")
    config = Config(
        retries={"max_attempts": 0},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        parameter_validation=True,
        inject_host_prefix=False,
    )
    clients = {}
    for line in sys.stdin:
        service, operation = line.split()
        if service not in clients:
            clients[service] = session.create_client(
                service, region_name="eu-west-1", endpoint_url=sys.argv[1], config=config
            )
        client = clients[service]
        model = client.meta.service_model.operation_model(operation)
        params = sample(service, operation, model.input_shape) if model.input_shape else {}
        told = {"service": service, "operation": operation, "params": plain(params)}
        try:
            told["result"] = plain(client._make_api_call(operation, params))
            told["result"].pop("ResponseMetadata", None)
        except ClientError as e:
            told["error"] = {
                "code": e.response["Error"].get("Code"),
                "message": e.response["Error"].get("Message"),
                "status": e.response["ResponseMetadata"]["HTTPStatusCode"],
                "requestID": e.response["ResponseMetadata"].get("RequestId"),
            }
        except Exception as e:  # told with its operation, so that one fault does not hide the others
            told["error"] = {"code": type(e).__name__, "message": str(e), "status": 0}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
