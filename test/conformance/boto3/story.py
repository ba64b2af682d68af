"""What every story begins with: clients that try once, and wrong() for what must be refused.

    from story import client, wrong
    sts = client("sts")
    wrong("AccessDenied", sts.assume_role, RoleArn=arn, RoleSessionName="s")
"""

import json
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
REGION = "us-east-1"


def client(service, keys=None, region=None, **more):
    """A client as the administrator, or with the Credentials of an answer of STS or IAM."""
    given = {}
    if keys:
        given = {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys.get("SessionToken"),
        }
    config = Config(retries={"total_max_attempts": 1}, **more)
    return boto3.client(service, region_name=region, config=config, **given)


def wrong(code, call, contains="", **request):
    """Calls and wants the error code; gives the error's answer."""
    try:
        got = call(**request)
    except ClientError as e:
        error = e.response["Error"]
        assert error["Code"] == code, f"wanted {code}, got {error}"
        assert contains in error["Message"], f"wanted {contains!r} in {error}"
        assert e.response["ResponseMetadata"]["RequestId"], "an error without a request id"
        return e.response
    raise AssertionError(f"wanted {code}, got {got}")


def policy(*statements):
    """A policy document of statements; each is (effect, action, resource) or a whole statement."""
    out = []
    for s in statements:
        if not isinstance(s, dict):
            s = {"Effect": s[0], "Action": s[1], "Resource": s[2]}
        out.append(s)
    return json.dumps({"Version": "2012-10-17", "Statement": out})


def trust(principal, **more):
    """A trust policy for one principal, as {"AWS": arn} or {"Service": name}."""
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def until(what, done, seconds=30):
    """Polls until done gives something true, and gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = done()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")
