"""Lambda's contract around functions, call by call: packages that are given back, and what is refused
in which words."""

import io
import json
import sys
import urllib.error
import urllib.request
import zipfile

from story import ACCOUNT, REGION, client, policy, trust, wrong

fn, iam = client("lambda"), client("iam")
runtime = f"python3.{sys.version_info.minor}"
base = f"arn:aws:lambda:{REGION}:{ACCOUNT}"


def package(text="def handler(event, context): return event\n", name="app.py"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, text)
    return out.getvalue()


def get(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


role = iam.create_role(RoleName="contract", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
code = package()
config = {"Runtime": runtime, "Role": role, "Handler": "app.handler", "Code": {"ZipFile": code}}
fn.create_function(FunctionName="contract", **config)

# A package is downloaded by whoever has the address, for ten minutes, as long as who asked may.
location = fn.get_function(FunctionName="contract")["Code"]["Location"]
assert "X-Amz-Expires=600" in location and get(location) == (200, code)
assert get(location.replace("contract", "contracts"))[0] == 403 and get(location.replace("X-Amz-Expires=600", "X-Amz-Expires=900"))[0] == 403
layer = fn.publish_layer_version(LayerName="contract", Content={"ZipFile": code})
assert get(layer["Content"]["Location"]) == (200, code)
assert get(fn.get_layer_version_by_arn(Arn=layer["LayerVersionArn"])["Content"]["Location"]) == (200, code)

iam.create_user(UserName="fetcher")
iam.put_user_policy(UserName="fetcher", PolicyName="p", PolicyDocument=policy(("Allow", "lambda:GetFunction", f"{base}:function:contract")))
keys = iam.create_access_key(UserName="fetcher")["AccessKey"]
theirs = client("lambda", keys).get_function(FunctionName="contract")["Code"]["Location"]
assert get(theirs) == (200, code)
iam.delete_user_policy(UserName="fetcher", PolicyName="p")
status, why = get(theirs)
assert status == 403 and b"lambda:GetFunction" in why, why
fn.update_function_code(FunctionName="contract", ZipFile=package("def handler(event, context): return 2\n"))
assert get(location)[0] == 404

# Tags of code signing configurations; those of event source mappings await a source.
publishers = {"SigningProfileVersionArns": [f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/contract/0123456789"]}
csc = fn.create_code_signing_config(AllowedPublishers=publishers, Tags={"a": "1"})["CodeSigningConfig"]["CodeSigningConfigArn"]
fn.tag_resource(Resource=csc, Tags={"b": "2"})
fn.untag_resource(Resource=csc, TagKeys=["a"])
assert fn.list_tags(Resource=csc)["Tags"] == {"b": "2"}
fn.delete_code_signing_config(CodeSigningConfigArn=csc)
wrong("ResourceNotFoundException", fn.list_tags, Resource=csc)
wrong("ResourceNotFoundException", fn.tag_resource, Resource=f"{base}:event-source-mapping:14e0db71-1d3e-4f4c-8d5e-0a4e5d1e7f11", Tags={"a": "1"})

# A key of the account's is refused by name until there are keys; the environment is encrypted without.
key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/14e0db71-1d3e-4f4c-8d5e-0a4e5d1e7f11"
wrong("NotImplemented", fn.create_function, FunctionName="keyed", KMSKeyArn=key, contains="KMSKeyArn", **config)
wrong("ResourceNotFoundException", fn.get_function, FunctionName="keyed")
wrong("NotImplemented", fn.update_function_configuration, FunctionName="contract", KMSKeyArn=key, contains="KMSKeyArn")
fn.update_function_configuration(FunctionName="contract", Environment={"Variables": {"SECRET": "hunter2-contract"}})
assert fn.get_function_configuration(FunctionName="contract")["Environment"]["Variables"]["SECRET"] == "hunter2-contract"
cfn = client("cloudformation")
template = {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "F": {"Type": "AWS::Lambda::Function", "Properties": {
    "Runtime": runtime, "Role": role, "Handler": "index.handler", "Code": {"ZipFile": "def handler(e, c): return 1"}, "KmsKeyArn": key}}}}
wrong("NotImplemented", cfn.create_stack, StackName="keyed", TemplateBody=json.dumps(template), contains="KmsKeyArn")
