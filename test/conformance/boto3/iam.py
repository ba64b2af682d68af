import json

from story import ACCOUNT, client, policy, trust, wrong

iam = client("iam")
ALLOW = policy(("Allow", "dynamodb:*", "*"))
ACCOUNT_ARN = f"arn:aws:iam::{ACCOUNT}"

# Users.
made = iam.create_user(UserName="iam-ada", Path="/team/", Tags=[{"Key": "team", "Value": "blue"}])["User"]
assert made["Arn"] == f"{ACCOUNT_ARN}:user/team/iam-ada" and made["UserId"].startswith("AIDA"), made
wrong("EntityAlreadyExists", iam.create_user, "iam-ada", UserName="iam-ada")
assert iam.get_user(UserName="iam-ada")["User"]["UserId"] == made["UserId"]
assert iam.get_user()["User"]["UserName"] == "admin"
wrong("NoSuchEntity", iam.get_user, "The user with name iam-nobody cannot be found.", UserName="iam-nobody")
iam.update_user(UserName="iam-ada", NewUserName="iam-eve", NewPath="/team/two/")
ada = iam.get_user(UserName="iam-eve")["User"]
assert ada["Arn"] == f"{ACCOUNT_ARN}:user/team/two/iam-eve" and ada["UserId"] == made["UserId"], ada
iam.update_user(UserName="iam-eve", NewUserName="iam-ada", NewPath="/team/")
listed = [u["UserName"] for u in iam.list_users(PathPrefix="/team/")["Users"]]
assert listed == ["iam-ada"], listed

iam.tag_user(UserName="iam-ada", Tags=[{"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "red"}])
tags = {t["Key"]: t["Value"] for t in iam.list_user_tags(UserName="iam-ada")["Tags"]}
assert tags == {"team": "red", "cost": "7"}, tags
iam.untag_user(UserName="iam-ada", TagKeys=["cost"])
assert [t["Key"] for t in iam.list_user_tags(UserName="iam-ada")["Tags"]] == ["team"]

# Access keys: two at most, and an inactive one opens nothing.
keys = iam.create_access_key(UserName="iam-ada")["AccessKey"]
assert keys["AccessKeyId"].startswith("AKIA") and len(keys["SecretAccessKey"]) == 40, "an odd key"
assert client("sts", keys).get_caller_identity()["Arn"] == made["Arn"]
second = iam.create_access_key(UserName="iam-ada")["AccessKey"]
wrong("LimitExceeded", iam.create_access_key, UserName="iam-ada")
iam.update_access_key(UserName="iam-ada", AccessKeyId=keys["AccessKeyId"], Status="Inactive")
wrong("InvalidClientTokenId", client("sts", keys).get_caller_identity)
status = {k["AccessKeyId"]: k["Status"] for k in iam.list_access_keys(UserName="iam-ada")["AccessKeyMetadata"]}
assert status == {keys["AccessKeyId"]: "Inactive", second["AccessKeyId"]: "Active"}, status
iam.update_access_key(UserName="iam-ada", AccessKeyId=keys["AccessKeyId"], Status="Active")
client("sts", keys).get_caller_identity()
iam.delete_access_key(UserName="iam-ada", AccessKeyId=second["AccessKeyId"])
wrong("InvalidClientTokenId", client("sts", second).get_caller_identity)

# Managed policies and their versions.
arn = iam.create_policy(PolicyName="iam-tables", Path="/team/", PolicyDocument=ALLOW, Description="tables", Tags=[{"Key": "a", "Value": "b"}])["Policy"]["Arn"]
assert arn == f"{ACCOUNT_ARN}:policy/team/iam-tables", arn
wrong("EntityAlreadyExists", iam.create_policy, PolicyName="iam-tables", PolicyDocument=ALLOW)
wrong("MalformedPolicyDocument", iam.create_policy, PolicyName="iam-bad", PolicyDocument="{")
wrong("MalformedPolicyDocument", iam.create_policy, PolicyName="iam-bad", PolicyDocument=policy(("Perhaps", "s3:*", "*")))
assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
deny = policy(("Deny", "*", "*"))
assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=deny)["PolicyVersion"]["VersionId"] == "v2"
assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
got = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
assert got["IsDefaultVersion"] and got["Document"] == json.loads(deny), got
wrong("DeleteConflict", iam.delete_policy_version, PolicyArn=arn, VersionId="v2")
iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
for n in range(4):
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALLOW, SetAsDefault=n == 3)
wrong("LimitExceeded", iam.create_policy_version, PolicyArn=arn, PolicyDocument=ALLOW)
assert arn in [p["Arn"] for p in iam.list_policies(Scope="Local")["Policies"]]
pages = list(iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 5}))
names = [p["PolicyName"] for page in pages for p in page["Policies"]]
assert len(pages) > 1 and len(names) == len(set(names)) and "AWSLambdaBasicExecutionRole" in names, names
iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "c", "Value": "d"}])
iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "c", "Value": "d"}]

# A user's policies decide at once.
ddb = client("dynamodb", keys)
wrong("AccessDeniedException", ddb.list_tables, "is not authorized to perform: dynamodb:ListTables")
iam.attach_user_policy(UserName="iam-ada", PolicyArn=arn)
ddb.list_tables()
assert [p["PolicyArn"] for p in iam.list_attached_user_policies(UserName="iam-ada")["AttachedPolicies"]] == [arn]
wrong("DeleteConflict", iam.delete_policy, PolicyArn=arn)
iam.put_user_policy(UserName="iam-ada", PolicyName="stop", PolicyDocument=deny)
wrong("AccessDeniedException", ddb.list_tables, "with an explicit deny")
assert iam.get_user_policy(UserName="iam-ada", PolicyName="stop")["PolicyDocument"] == json.loads(deny)
assert iam.list_user_policies(UserName="iam-ada")["PolicyNames"] == ["stop"]
iam.delete_user_policy(UserName="iam-ada", PolicyName="stop")
ddb.list_tables()

# A permissions boundary takes away.
boundary = iam.create_policy(PolicyName="iam-boundary", PolicyDocument=policy(("Allow", "s3:*", "*")))["Policy"]["Arn"]
iam.put_user_permissions_boundary(UserName="iam-ada", PermissionsBoundary=boundary)
wrong("AccessDeniedException", ddb.list_tables)
assert iam.get_user(UserName="iam-ada")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
wrong("DeleteConflict", iam.delete_policy, PolicyArn=boundary)
iam.delete_user_permissions_boundary(UserName="iam-ada")
ddb.list_tables()
who = iam.list_entities_for_policy(PolicyArn=arn)
assert [u["UserName"] for u in who["PolicyUsers"]] == ["iam-ada"], who
iam.detach_user_policy(UserName="iam-ada", PolicyArn=arn)
wrong("AccessDeniedException", ddb.list_tables)
wrong("NoSuchEntity", iam.detach_user_policy, UserName="iam-ada", PolicyArn=arn)

# Roles.
role = iam.create_role(RoleName="iam-worker", Path="/jobs/", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}), Description="first",
                       MaxSessionDuration=7200, Tags=[{"Key": "x", "Value": "y"}])["Role"]
assert role["Arn"] == f"{ACCOUNT_ARN}:role/jobs/iam-worker" and role["RoleId"].startswith("AROA"), role
wrong("MalformedPolicyDocument", iam.create_role, RoleName="iam-bad", AssumeRolePolicyDocument=ALLOW)
iam.update_role(RoleName="iam-worker", Description="second", MaxSessionDuration=3600)
got = iam.get_role(RoleName="iam-worker")["Role"]
assert got["Description"] == "second" and got["MaxSessionDuration"] == 3600, got
assert iam.update_role_description(RoleName="iam-worker", Description="third")["Role"]["Description"] == "third"
iam.update_assume_role_policy(RoleName="iam-worker", PolicyDocument=trust({"AWS": made["Arn"]}))
got = iam.get_role(RoleName="iam-worker")["Role"]["AssumeRolePolicyDocument"]
assert got["Statement"][0]["Principal"] == {"AWS": made["Arn"]}, got
assert [r["RoleName"] for r in iam.list_roles(PathPrefix="/jobs/")["Roles"]] == ["iam-worker"]
iam.tag_role(RoleName="iam-worker", Tags=[{"Key": "z", "Value": "1"}])
iam.untag_role(RoleName="iam-worker", TagKeys=["x"])
assert iam.list_role_tags(RoleName="iam-worker")["Tags"] == [{"Key": "z", "Value": "1"}]
iam.put_role_policy(RoleName="iam-worker", PolicyName="in", PolicyDocument=ALLOW)
assert iam.get_role_policy(RoleName="iam-worker", PolicyName="in")["PolicyDocument"] == json.loads(ALLOW)
assert iam.list_role_policies(RoleName="iam-worker")["PolicyNames"] == ["in"]
basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
iam.attach_role_policy(RoleName="iam-worker", PolicyArn=basic)
assert [p["PolicyArn"] for p in iam.list_attached_role_policies(RoleName="iam-worker")["AttachedPolicies"]] == [basic]
wrong("NoSuchEntity", iam.attach_role_policy, RoleName="iam-worker", PolicyArn=f"{ACCOUNT_ARN}:policy/nothing")
iam.put_role_permissions_boundary(RoleName="iam-worker", PermissionsBoundary=boundary)
assert iam.get_role(RoleName="iam-worker")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
iam.delete_role_permissions_boundary(RoleName="iam-worker")
assert iam.list_instance_profiles_for_role(RoleName="iam-worker")["InstanceProfiles"] == []
wrong("DeleteConflict", iam.delete_role, RoleName="iam-worker")

# Names, paths and sizes that IAM refuses.
wrong("ValidationError", iam.create_user, UserName="has space")
wrong("LimitExceeded", iam.put_user_policy, UserName="iam-ada", PolicyName="big",
      PolicyDocument=policy(*[("Allow", f"s3:GetObject", f"arn:aws:s3:::bucket-{n:050d}/*") for n in range(30)]))

# All gone again.
wrong("DeleteConflict", iam.delete_user, UserName="iam-ada")
iam.detach_role_policy(RoleName="iam-worker", PolicyArn=basic)
iam.delete_role_policy(RoleName="iam-worker", PolicyName="in")
iam.delete_role(RoleName="iam-worker")
iam.delete_access_key(UserName="iam-ada", AccessKeyId=keys["AccessKeyId"])
iam.delete_user(UserName="iam-ada")
for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
    if not v["IsDefaultVersion"]:
        iam.delete_policy_version(PolicyArn=arn, VersionId=v["VersionId"])
iam.delete_policy(PolicyArn=arn)
iam.delete_policy(PolicyArn=boundary)
wrong("NoSuchEntity", iam.get_policy, PolicyArn=arn)
wrong("NoSuchEntity", iam.get_role, RoleName="iam-worker")
wrong("InvalidClientTokenId", client("sts", keys).get_caller_identity)
