import json
import time

from botocore.exceptions import WaiterError
from story import ACCOUNT, REGION, client, policy, trust, wrong

cfn, iam, sts, ddb, s3 = client("cloudformation"), client("iam"), client("sts"), client("dynamodb"), client("s3")


def waited(name, stack):
    cfn.get_waiter(name).wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def described(stack):
    return cfn.describe_stacks(StackName=stack)["Stacks"][0]


def reasons(stack):
    pages = cfn.get_paginator("describe_stack_events").paginate(StackName=stack)
    return [e.get("ResourceStatusReason", "") for page in pages for e in page["StackEvents"]]


TABLE = """
Description: a table and who may read it
Parameters:
  Name: {Type: String, Default: story}
  Word: {Type: String, NoEcho: true, Default: sesame}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Reader:
    Type: AWS::IAM::Role
    Properties:
      Description: !Sub "reads ${Name}"
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
      Policies:
        - PolicyName: read
          PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "dynamodb:GetItem", Resource: !GetAtt Table.Arn}]}
Outputs:
  Table: {Value: !Ref Table, Export: {Name: story-table}}
  Role: {Value: !GetAtt Reader.Arn}
"""
IAM = ["CAPABILITY_IAM"]

# A stack of its own, from the request, and what can be asked of it.
checked = cfn.validate_template(TemplateBody=TABLE)
assert checked["Capabilities"] == IAM and [p["ParameterKey"] for p in checked["Parameters"]] == ["Name", "Word"], checked
wrong("InsufficientCapabilitiesException", cfn.create_stack, "[CAPABILITY_IAM]", StackName="story", TemplateBody=TABLE)
wrong("ValidationError", cfn.describe_stacks, "Stack with id story does not exist", StackName="story")
made = cfn.create_stack(StackName="story", TemplateBody=TABLE, Capabilities=IAM, Tags=[{"Key": "team", "Value": "blue"}])["StackId"]
waited("stack_create_complete", "story")
wrong("AlreadyExistsException", cfn.create_stack, StackName="story", TemplateBody=TABLE, Capabilities=IAM)
stack = described(made)
outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
assert {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]} == {"Name": "story", "Word": "****"}, stack
assert stack["Tags"] == [{"Key": "team", "Value": "blue"}] and stack["Description"].startswith("a table"), stack
tags = ddb.list_tags_of_resource(ResourceArn=f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{outputs['Table']}")["Tags"]
assert {"Key": "team", "Value": "blue"} in tags and {"Key": "aws:cloudformation:stack-name", "Value": "story"} in tags, tags
resources = cfn.describe_stack_resources(StackName="story")["StackResources"]
assert {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}["Table"] == outputs["Table"], resources
assert len(cfn.list_stack_resources(StackName="story")["StackResourceSummaries"]) == 2
one = cfn.describe_stack_resource(StackName="story", LogicalResourceId="Reader")["StackResourceDetail"]
assert one["ResourceStatus"] == "CREATE_COMPLETE" and outputs["Role"].endswith(one["PhysicalResourceId"]), one
assert cfn.get_template(StackName="story")["TemplateBody"] == TABLE
assert cfn.get_template_summary(StackName="story")["ResourceTypes"] == ["AWS::DynamoDB::Table", "AWS::IAM::Role"]
assert made in [s["StackId"] for page in cfn.get_paginator("list_stacks").paginate(StackStatusFilter=["CREATE_COMPLETE"]) for s in page["StackSummaries"]]

# Updates: none, one, and one that fails and is rolled back.
wrong("ValidationError", cfn.update_stack, "No updates are to be performed.", StackName="story", UsePreviousTemplate=True, Capabilities=IAM)
cfn.update_stack(StackName="story", UsePreviousTemplate=True, Capabilities=IAM, Parameters=[{"ParameterKey": "Name", "ParameterValue": "again"}])
waited("stack_update_complete", "story")
role = outputs["Role"].rsplit("/", 1)[1]
assert iam.get_role(RoleName=role)["Role"]["Description"] == "reads again"
broken = TABLE.replace("Outputs:", '  Bad: {Type: AWS::IAM::Policy, DependsOn: Reader, Properties: {PolicyName: p, Roles: [nobody], PolicyDocument: {Version: "2012-10-17", Statement: []}}}\nOutputs:')
cfn.update_stack(StackName="story", TemplateBody=broken, Capabilities=IAM)
try:
    waited("stack_update_complete", "story")
    raise AssertionError("an update that fails")
except WaiterError:
    pass
assert described("story")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", described("story")
assert iam.get_role(RoleName=role)["Role"]["Description"] == "reads again"
assert any("failed to create: [Bad]" in r for r in reasons("story")), reasons("story")

# What is not built is named, with its place, before anything is made.
refused = wrong("NotImplemented", cfn.create_stack, StackName="queue", TemplateBody="Resources:\n  Q:\n    Type: AWS::SQS::Queue\n")
assert "line 3, column 11: Q: the type AWS::SQS::Queue is not built" in refused["Error"]["Message"], refused
wrong("ValidationError", cfn.describe_stacks, StackName="queue")

# Exports hold as long as they are used.
user = json.dumps({"Resources": {"Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Sub": ["/${T}", {"T": {"Fn::ImportValue": "story-table"}}]}}}}})
s3.create_bucket(Bucket="story-templates")
s3.put_object(Bucket="story-templates", Key="user.json", Body=user.encode())
cfn.create_stack(StackName="user", TemplateURL=f"https://story-templates.s3.{REGION}.amazonaws.com/user.json")
waited("stack_create_complete", "user")
assert [e["Value"] for e in cfn.list_exports()["Exports"] if e["Name"] == "story-table"] == [outputs["Table"]]
assert cfn.list_imports(ExportName="story-table")["Imports"] == ["user"]
before = described("story")["StackStatus"]
cfn.delete_stack(StackName="story")
until = time.monotonic() + 30
while described("story")["StackStatus"] == "DELETE_IN_PROGRESS" and time.monotonic() < until:
    time.sleep(0.1)
assert described("story")["StackStatus"] == before, described("story")
assert described("story")["StackStatusReason"] == "Delete canceled. Cannot delete export story-table as it is in use by user.", described("story")
cfn.delete_stack(StackName="user")
waited("stack_delete_complete", "user")

# Change sets: of a new stack, without changes, and one that replaces.
created = cfn.create_change_set(StackName="sets", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=TABLE.replace("story-table", "sets-table"), Capabilities=IAM)
cfn.get_waiter("change_set_create_complete").wait(ChangeSetName=created["Id"])
assert [c["ResourceChange"]["Action"] for c in cfn.describe_change_set(ChangeSetName=created["Id"])["Changes"]] == ["Add", "Add"]
assert described("sets")["StackStatus"] == "REVIEW_IN_PROGRESS"
cfn.execute_change_set(ChangeSetName=created["Id"])
waited("stack_create_complete", "sets")
cfn.create_change_set(StackName="sets", ChangeSetName="same", UsePreviousTemplate=True, Capabilities=IAM)
same = cfn.describe_change_set(StackName="sets", ChangeSetName="same")
assert same["Status"] == "FAILED" and "didn't contain changes" in same["StatusReason"], same
assert "same" in [c["ChangeSetName"] for c in cfn.list_change_sets(StackName="sets")["Summaries"]]
cfn.delete_change_set(StackName="sets", ChangeSetName="same")
wrong("ChangeSetNotFound", cfn.describe_change_set, StackName="sets", ChangeSetName="same")
renamed = TABLE.replace("story-table", "sets-table").replace("      BillingMode", "      TableName: sets-table\n      BillingMode")
cfn.create_change_set(StackName="sets", ChangeSetName="rename", TemplateBody=renamed, Capabilities=IAM)
change = cfn.describe_change_set(StackName="sets", ChangeSetName="rename")["Changes"][0]["ResourceChange"]
assert change["Replacement"] == "True" and change["LogicalResourceId"] == "Table", change
cfn.execute_change_set(StackName="sets", ChangeSetName="rename")
waited("stack_update_complete", "sets")
assert "sets-table" in ddb.list_tables()["TableNames"]

# A deployment may do what its caller may, or the role that it was given; no more.
iam.create_user(UserName="deployer")
iam.put_user_policy(UserName="deployer", PolicyName="stacks", PolicyDocument=policy(("Allow", "cloudformation:*", "*")))
keys = iam.create_access_key(UserName="deployer")["AccessKey"]
theirs = client("cloudformation", {"AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"]})
logs = "Resources:\n  Log: {Type: AWS::Logs::LogGroup}\n"
theirs.create_stack(StackName="poor", TemplateBody=logs)
try:
    waited("stack_create_complete", "poor")
    raise AssertionError("a deployment without the right to")
except WaiterError:
    pass
assert any("not authorized to perform: logs:CreateLogGroup" in r for r in reasons("poor")), reasons("poor")
role = iam.create_role(RoleName="for-stacks", AssumeRolePolicyDocument=trust({"Service": "cloudformation.amazonaws.com"}))["Role"]["Arn"]
iam.put_role_policy(RoleName="for-stacks", PolicyName="logs", PolicyDocument=policy(("Allow", "logs:*", "*")))
wrong("AccessDenied", theirs.create_stack, "iam:PassRole", StackName="rich", TemplateBody=logs, RoleARN=role)
iam.put_user_policy(UserName="deployer", PolicyName="pass", PolicyDocument=policy(("Allow", "iam:PassRole", role)))
theirs.create_stack(StackName="rich", TemplateBody=logs, RoleARN=role)
waited("stack_create_complete", "rich")

# Protection, and the end.
cfn.create_stack(StackName="kept", TemplateBody=logs, EnableTerminationProtection=True)
waited("stack_create_complete", "kept")
wrong("ValidationError", cfn.delete_stack, "TerminationProtection is enabled", StackName="kept")
for name in ["story", "sets", "poor", "rich"]:
    cfn.delete_stack(StackName=name)
    waited("stack_delete_complete", name)
assert described(made)["StackStatus"] == "DELETE_COMPLETE"
assert outputs["Table"] not in ddb.list_tables()["TableNames"] and "sets-table" not in ddb.list_tables()["TableNames"]
