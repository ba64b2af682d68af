"""What becomes of asynchronous invocations: event invoke configurations, functions as destinations, and
event source mappings, none of whose sources is served."""

import io
import json
import sys
import zipfile

from story import ACCOUNT, REGION, client, policy, trust, until, wrong

fn, iam, logs = client("lambda"), client("iam"), client("logs")
arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"

CODE = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("as told")
    print("told of", event["requestContext"]["condition"] if "requestContext" in event else None)
    return {"did": event}
"""


def package(text=CODE, name="app.py"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, text)
    return out.getvalue()


role = iam.create_role(RoleName="async", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
iam.attach_role_policy(RoleName="async", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
config = {"Runtime": f"python3.{sys.version_info.minor}", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": package()}}
for name in ("async-does", "async-told"):
    fn.create_function(FunctionName=name, Publish=True, **config)
    fn.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

# What a configuration refuses.
none = {"FunctionName": "async-does"}
to = {"OnFailure": {"Destination": arn + "async-told"}}
wrong("ResourceNotFoundException", fn.get_function_event_invoke_config, "doesn't have an EventInvokeConfig", **none)
wrong("ResourceNotFoundException", fn.update_function_event_invoke_config, "doesn't have an EventInvokeConfig", MaximumRetryAttempts=1, **none)
wrong("ResourceNotFoundException", fn.delete_function_event_invoke_config, "doesn't have an EventInvokeConfig", **none)
wrong("ResourceNotFoundException", fn.put_function_event_invoke_config, "The function doesn't exist.", FunctionName="async-none", MaximumRetryAttempts=1)
wrong("ResourceNotFoundException", fn.list_function_event_invoke_configs, "The function doesn't exist.", FunctionName="async-none")
wrong("InvalidParameterValueException", fn.put_function_event_invoke_config, "at least one of error handling or destination setting", **none)
wrong("InvalidParameterValueException", fn.put_function_event_invoke_config, "as a destination for itself", DestinationConfig={"OnFailure": {"Destination": arn + "async-does"}}, **none)
wrong("InvalidParameterValueException", fn.put_function_event_invoke_config, "does not have permissions to call InvokeFunction", DestinationConfig=to, **none)
iam.put_role_policy(RoleName="async", PolicyName="tell", PolicyDocument=policy(("Allow", "lambda:InvokeFunction", arn + "async-*")))
wrong("InvalidParameterValueException", fn.put_function_event_invoke_config, "is invalid", DestinationConfig={"OnFailure": {"Destination": arn + "async-none"}}, **none)
queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
wrong("NotImplemented", fn.put_function_event_invoke_config, "Amazon SQS", DestinationConfig={"OnFailure": {"Destination": queue}}, **none)

# Put replaces all of it, update what it names.
made = fn.put_function_event_invoke_config(MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60, DestinationConfig=to, **none)
assert made["FunctionArn"] == arn + "async-does:$LATEST" and made["DestinationConfig"]["OnFailure"] == to["OnFailure"], made
changed = fn.update_function_event_invoke_config(MaximumEventAgeInSeconds=120, **none)
assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (0, 120), changed
got = fn.get_function_event_invoke_config(**none)
assert {k: got[k] for k in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")} == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 120,
       "DestinationConfig": changed["DestinationConfig"]}, got
of_one = fn.put_function_event_invoke_config(Qualifier="1", MaximumRetryAttempts=1, **none)
assert of_one["FunctionArn"] == arn + "async-does:1" and "MaximumEventAgeInSeconds" not in of_one, of_one
pages = fn.get_paginator("list_function_event_invoke_configs").paginate(PaginationConfig={"PageSize": 1}, **none)
listed = [c["FunctionArn"] for p in pages for c in p["FunctionEventInvokeConfigs"]]
assert sorted(listed) == [arn + "async-does:$LATEST", arn + "async-does:1"], listed

# The destination is told of an event that failed, once there are no retries.
assert fn.invoke(InvocationType="Event", Payload=json.dumps({"fail": True}), **none)["StatusCode"] == 202
group = "/aws/lambda/async-told"
until("the record of the failure", lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
      and logs.filter_log_events(logGroupName=group, filterPattern='"told of RetriesExhausted"')["events"])

fn.delete_function_event_invoke_config(**none)
wrong("ResourceNotFoundException", fn.get_function_event_invoke_config, **none)
assert [c["FunctionArn"] for c in fn.list_function_event_invoke_configs(**none)["FunctionEventInvokeConfigs"]] == [arn + "async-does:1"]

# Event sources are not served: mapping one is refused by name, and there are no mappings.
gone = "00000000-0000-4000-8000-000000000000"
wrong("NotImplemented", fn.create_event_source_mapping, "Amazon SQS", EventSourceArn=queue, **none)
wrong("NotImplemented", fn.create_event_source_mapping, "Amazon Kinesis", EventSourceArn=f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s", StartingPosition="LATEST", **none)
wrong("NotImplemented", fn.create_event_source_mapping, "Kafka", SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["a:9092"]}}, Topics=["topic"], **none)
wrong("InvalidParameterValueException", fn.create_event_source_mapping, "Unrecognized event source.", EventSourceArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:topic", **none)
for call in (fn.get_event_source_mapping, fn.update_event_source_mapping, fn.delete_event_source_mapping):
    wrong("ResourceNotFoundException", call, UUID=gone)
for more in ({}, none, {"EventSourceArn": queue}):
    assert fn.list_event_source_mappings(**more)["EventSourceMappings"] == [], more

# All gone again; a function's configurations go with it.
for name in ("async-does", "async-told"):
    fn.delete_function(FunctionName=name)
    until("its output", lambda: logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"])
    logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")
iam.delete_role_policy(RoleName="async", PolicyName="tell")
iam.detach_role_policy(RoleName="async", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
iam.delete_role(RoleName="async")
