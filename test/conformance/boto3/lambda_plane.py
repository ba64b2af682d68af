"""What stands around functions: concurrency held ready, tenants, isolation, layers of others, code
signing, runtimes."""

import io
import json
import sys
import zipfile

from story import ACCOUNT, REGION, client, policy, trust, until, wrong

fn, iam, logs = client("lambda"), client("iam"), client("logs")
runtime = f"python3.{sys.version_info.minor}"

CODE = """
import os
n = 0

def handler(event, context):
    global n
    n += 1
    return {"n": n, "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "tenant": context.tenant_id}
"""


def package(text=CODE, name="app.py"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, text)
    return out.getvalue()


def invoke(name, **more):
    answer = fn.invoke(FunctionName=name, Payload=b"{}", **more)
    got = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, got
    return got


role = iam.create_role(RoleName="plane", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
config = {"Runtime": runtime, "Role": role, "Handler": "app.handler", "Code": {"ZipFile": package()}}
arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"

# Concurrency that is held ready, of an alias.
fn.create_function(FunctionName="plane-ready", Publish=True, **config)
fn.create_alias(FunctionName="plane-ready", Name="live", FunctionVersion="1")
wrong("InvalidParameterValueException", fn.put_provisioned_concurrency_config, "unpublished function versions", FunctionName="plane-ready", Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
wrong("ProvisionedConcurrencyConfigNotFoundException", fn.get_provisioned_concurrency_config, FunctionName="plane-ready", Qualifier="live")
wrong("InvalidParameterValueException", fn.put_provisioned_concurrency_config, "below its minimum value of [100]", FunctionName="plane-ready", Qualifier="live", ProvisionedConcurrentExecutions=901)
made = fn.put_provisioned_concurrency_config(FunctionName="plane-ready", Qualifier="live", ProvisionedConcurrentExecutions=2)
assert made["Status"] == "IN_PROGRESS" and made["RequestedProvisionedConcurrentExecutions"] == 2, made


def readiness():
    return fn.get_provisioned_concurrency_config(FunctionName="plane-ready", Qualifier="live")


until("two are ready", lambda: readiness()["Status"] == "READY")
assert readiness()["AvailableProvisionedConcurrentExecutions"] == 2, readiness()
assert invoke("plane-ready", Qualifier="live")["type"] == "provisioned-concurrency"
assert invoke("plane-ready")["type"] == "on-demand"
assert fn.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] <= 998
listed = fn.list_provisioned_concurrency_configs(FunctionName="plane-ready")["ProvisionedConcurrencyConfigs"]
assert [c["FunctionArn"] for c in listed] == [arn + "plane-ready:live"], listed
wrong("InvalidParameterValueException", fn.put_function_concurrency, "total provisioned concurrency [2]", FunctionName="plane-ready", ReservedConcurrentExecutions=1)
fn.delete_provisioned_concurrency_config(FunctionName="plane-ready", Qualifier="live")
wrong("ProvisionedConcurrencyConfigNotFoundException", readiness)

# One whose start fails says so.
fn.create_function(FunctionName="plane-broken", Publish=True, **{**config, "Code": {"ZipFile": package("raise ValueError('no')\n")}})
fn.put_provisioned_concurrency_config(FunctionName="plane-broken", Qualifier="1", ProvisionedConcurrentExecutions=1)
failed = until("the failure", lambda: (lambda c: c if c["Status"] == "FAILED" else None)(fn.get_provisioned_concurrency_config(FunctionName="plane-broken", Qualifier="1")))
assert failed["StatusReason"].startswith("FUNCTION_ERROR_INIT_FAILURE") and failed["AvailableProvisionedConcurrentExecutions"] == 0, failed
fn.delete_function(FunctionName="plane-broken")

# Throttling, and the minimum that is left to functions without a reservation.
fn.put_function_concurrency(FunctionName="plane-ready", ReservedConcurrentExecutions=0)
refused = wrong("TooManyRequestsException", fn.invoke, "Rate Exceeded.", FunctionName="plane-ready", Payload=b"{}")
assert refused["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded" and refused["ResponseMetadata"]["HTTPStatusCode"] == 429, refused
wrong("InvalidParameterValueException", fn.put_function_concurrency, "UnreservedConcurrentExecution below its minimum value of [100]", FunctionName="plane-ready", ReservedConcurrentExecutions=901)
fn.delete_function_concurrency(FunctionName="plane-ready")

# Weighted aliases, as they are refused.
fn.update_function_code(FunctionName="plane-ready", ZipFile=package(CODE + "# two\n"), Publish=True)
routing = {"AdditionalVersionWeights": {"1": 0.5}}
wrong("InvalidParameterValueException", fn.create_alias, "$LATEST is not supported for an alias pointing to more than 1 version", FunctionName="plane-ready", Name="x", FunctionVersion="$LATEST", RoutingConfig=routing)
wrong("InvalidParameterValueException", fn.create_alias, "Function version 1 is already included in routing configuration.", FunctionName="plane-ready", Name="x", FunctionVersion="1", RoutingConfig=routing)
fn.create_alias(FunctionName="plane-ready", Name="split", FunctionVersion="2", RoutingConfig=routing)
wrong("InvalidParameterValueException", fn.put_provisioned_concurrency_config, "Alias with weights can not be used with Provisioned Concurrency", FunctionName="plane-ready", Qualifier="split", ProvisionedConcurrentExecutions=1)
again = fn.publish_version(FunctionName="plane-ready")
assert again["Version"] == "2", again  # nothing has changed since
wrong("InvalidParameterValueException", fn.publish_version, "is different from current CodeSHA256 in $LATEST", FunctionName="plane-ready", CodeSha256="x")
wrong("PreconditionFailedException", fn.publish_version, FunctionName="plane-ready", RevisionId="x")

# SnapStart.
wrong("InvalidParameterValueException", fn.create_function, "is not supported for SnapStart enabled functions.", FunctionName="plane-snap", SnapStart={"ApplyOn": "PublishedVersions"}, **{**config, "Runtime": "provided.al2023"})

# Each request in an environment of its own.
fn.create_function(FunctionName="plane-once", Tags={"bastide:isolation": "request"}, **config)
assert [invoke("plane-once")["n"] for _ in range(3)] == [1, 1, 1]
assert fn.get_function(FunctionName="plane-once")["Tags"] == {"bastide:isolation": "request"}
wrong("InvalidParameterValueException", fn.tag_resource, Resource=arn + "plane-once", Tags={"bastide:isolation": "often"})
fn.untag_resource(Resource=arn + "plane-once", TagKeys=["bastide:isolation"])
assert [invoke("plane-once")["n"] for _ in range(2)] == [1, 2]

# Tenants.
made = fn.create_function(FunctionName="plane-tenants", TenancyConfig={"TenantIsolationMode": "PER_TENANT"}, **config)
assert made["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}, made
assert fn.get_function_configuration(FunctionName="plane-tenants")["TenancyConfig"]["TenantIsolationMode"] == "PER_TENANT"
got = [(g["n"], g["tenant"]) for g in (invoke("plane-tenants", TenantId=t) for t in ("blue", "green", "blue"))]
assert got == [(1, "blue"), (1, "green"), (2, "blue")], got
wrong("InvalidParameterValueException", fn.invoke, "Add a valid tenant ID in your request and try again.", FunctionName="plane-tenants", Payload=b"{}")
wrong("InvalidParameterValueException", fn.invoke, "Remove the tenant ID from your request and try again.", FunctionName="plane-once", Payload=b"{}", TenantId="blue")
wrong("InvalidParameterValueException", fn.create_function_url_config, "tenant isolation", FunctionName="plane-tenants", AuthType="NONE")

# A layer that is opened to everybody.
layer = fn.publish_layer_version(LayerName="plane-layer", Content={"ZipFile": package("WORD = 1\n", "python/words.py")}, CompatibleRuntimes=[runtime])["LayerVersionArn"]
one = {"LayerName": "plane-layer", "VersionNumber": 1}
wrong("ResourceNotFoundException", fn.get_layer_version_policy, "No policy is associated with the given resource.", **one)
added = fn.add_layer_version_permission(StatementId="all", Action="lambda:GetLayerVersion", Principal="*", **one)
assert json.loads(added["Statement"])["Resource"] == layer, added
wrong("ResourceConflictException", fn.add_layer_version_permission, StatementId="all", Action="lambda:GetLayerVersion", Principal="*", **one)
wrong("PreconditionFailedException", fn.remove_layer_version_permission, StatementId="all", RevisionId="x", **one)
shown = fn.get_layer_version_policy(**one)
assert shown["RevisionId"] == added["RevisionId"] and json.loads(shown["Policy"])["Statement"][0]["Principal"] == "*", shown
fn.remove_layer_version_permission(StatementId="all", **one)
wrong("ResourceNotFoundException", fn.remove_layer_version_permission, StatementId="all", **one)
wrong("InvalidParameterValueException", fn.update_function_configuration, "Cannot reference more than 5 layers.", FunctionName="plane-once", Layers=[layer] * 6)

# Code signing: what is not signed is refused under Enforce, and let through under Warn.
profile = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/plane/0123456789"
signing = fn.create_code_signing_config(Description="ours", AllowedPublishers={"SigningProfileVersionArns": [profile]}, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"})["CodeSigningConfig"]
csc = signing["CodeSigningConfigArn"]
assert signing["CodeSigningConfigId"].startswith("csc-") and csc.endswith(signing["CodeSigningConfigId"]), signing
assert fn.get_code_signing_config(CodeSigningConfigArn=csc)["CodeSigningConfig"] == signing
assert signing in fn.list_code_signing_configs()["CodeSigningConfigs"]
wrong("CodeVerificationFailedException", fn.create_function, "set to ENFORCE", FunctionName="plane-signed", CodeSigningConfigArn=csc, **config)
wrong("CodeSigningConfigNotFoundException", fn.put_function_code_signing_config, FunctionName="plane-once", CodeSigningConfigArn=csc[:-1] + ("0" if csc[-1] != "0" else "1"))
fn.put_function_code_signing_config(FunctionName="plane-once", CodeSigningConfigArn=csc)
assert fn.get_function_code_signing_config(FunctionName="plane-once")["CodeSigningConfigArn"] == csc
assert fn.list_functions_by_code_signing_config(CodeSigningConfigArn=csc)["FunctionArns"] == [arn + "plane-once"]
wrong("CodeVerificationFailedException", fn.update_function_code, FunctionName="plane-once", ZipFile=package())
changed = fn.update_code_signing_config(CodeSigningConfigArn=csc, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"})
assert changed["CodeSigningConfig"]["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}, changed
fn.update_function_code(FunctionName="plane-once", ZipFile=package())
wrong("ResourceConflictException", fn.delete_code_signing_config, CodeSigningConfigArn=csc)
fn.delete_function_code_signing_config(FunctionName="plane-once")
fn.delete_code_signing_config(CodeSigningConfigArn=csc)
wrong("ResourceNotFoundException", fn.get_code_signing_config, CodeSigningConfigArn=csc)

# Runtimes.
got = fn.get_runtime_management_config(FunctionName="plane-once")
assert got["UpdateRuntimeOn"] == "Auto" and got["FunctionArn"] == arn + "plane-once:$LATEST", got
version = fn.get_function_configuration(FunctionName="plane-once")["RuntimeVersionConfig"]["RuntimeVersionArn"]
assert version.startswith(f"arn:aws:lambda:{REGION}::runtime:"), version
wrong("InvalidParameterValueException", fn.put_runtime_management_config, FunctionName="plane-once", UpdateRuntimeOn="Manual", RuntimeVersionArn=version[:-1] + "x")
fn.put_runtime_management_config(FunctionName="plane-once", UpdateRuntimeOn="Manual", RuntimeVersionArn=version)
assert fn.get_runtime_management_config(FunctionName="plane-once")["RuntimeVersionArn"] == version
assert invoke("plane-once")["n"] == 1

# Recursion.
assert fn.get_function_recursion_config(FunctionName="plane-once")["RecursiveLoop"] == "Terminate"
fn.put_function_recursion_config(FunctionName="plane-once", RecursiveLoop="Allow")
assert fn.get_function_recursion_config(FunctionName="plane-once")["RecursiveLoop"] == "Allow"

# Sizes at their ends.
for wish in ({"EphemeralStorage": {"Size": 10240}, "MemorySize": 10240}, {"EphemeralStorage": {"Size": 512}, "MemorySize": 128}):
    got = fn.update_function_configuration(FunctionName="plane-once", **wish)
    assert {k: got[k] for k in wish} == wish, got
everything = fn.list_functions(FunctionVersion="ALL")["Functions"]
assert {f["FunctionArn"] for f in everything} >= {arn + "plane-ready:1", arn + "plane-ready:$LATEST"}, everything

# All gone again.
fn.delete_layer_version(**one)
for name in ("plane-ready", "plane-once", "plane-tenants"):
    fn.delete_function(FunctionName=name)
iam.delete_role(RoleName="plane")
