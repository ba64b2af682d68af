import time

from story import ACCOUNT, client, policy, trust, wrong

sts, iam = client("sts"), client("iam")

me = sts.get_caller_identity()
assert me["Account"] == ACCOUNT, me
assert me["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/admin", me
assert me["UserId"].startswith("AIDA"), me
assert me["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]

# A role that the account may assume, which lists tables and nothing else.
role = iam.create_role(RoleName="sts-reader", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))["Role"]
iam.put_role_policy(RoleName="sts-reader", PolicyName="read", PolicyDocument=policy(("Allow", "dynamodb:ListTables", "*"), ("Allow", "iam:ListUsers", "*")))
got = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="story", DurationSeconds=900)
assert got["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/sts-reader/story", got
assert got["AssumedRoleUser"]["AssumedRoleId"] == role["RoleId"] + ":story", got
keys = got["Credentials"]
assert keys["AccessKeyId"].startswith("ASIA") and keys["SessionToken"], keys
assert 800 < keys["Expiration"].timestamp() - time.time() <= 901, keys

session = client("sts", keys).get_caller_identity()
assert session["Arn"] == got["AssumedRoleUser"]["Arn"], session
assert session["UserId"] == got["AssumedRoleUser"]["AssumedRoleId"], session
client("dynamodb", keys).list_tables()
wrong("AccessDeniedException", client("dynamodb", keys).create_table, "dynamodb:CreateTable", TableName="no",
      KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
      BillingMode="PAY_PER_REQUEST")

# A session policy only takes away.
less = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="less", Policy=policy(("Allow", "iam:ListUsers", "*"), ("Allow", "iam:ListRoles", "*")))["Credentials"]
client("iam", less).list_users()
wrong("AccessDenied", client("iam", less).list_roles)
wrong("AccessDeniedException", client("dynamodb", less).list_tables)

# The third party's external id.
iam.create_role(RoleName="sts-partner", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, Condition={"StringEquals": {"sts:ExternalId": "blue"}}))
partner = f"arn:aws:iam::{ACCOUNT}:role/sts-partner"
wrong("AccessDenied", sts.assume_role, RoleArn=partner, RoleSessionName="story")
wrong("AccessDenied", sts.assume_role, RoleArn=partner, RoleSessionName="story", ExternalId="red")
sts.assume_role(RoleArn=partner, RoleSessionName="story", ExternalId="blue")
wrong("AccessDenied", sts.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/nobody", RoleSessionName="story")
wrong("ValidationError", sts.assume_role, RoleArn=role["Arn"], RoleSessionName="story", DurationSeconds=7200)

# Another service's role is not the account's to assume.
iam.create_role(RoleName="sts-lambda", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))
wrong("AccessDenied", sts.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/sts-lambda", RoleSessionName="story")

temporary = sts.get_session_token(DurationSeconds=900)["Credentials"]
assert client("sts", temporary).get_caller_identity()["Arn"] == me["Arn"]
client("dynamodb", temporary).list_tables()
# As on AWS: no IAM calls with a session token that no MFA stands behind.
wrong("InvalidClientTokenId", client("iam", temporary).list_users)

for name in ("sts-reader",):
    iam.delete_role_policy(RoleName=name, PolicyName="read")
for name in ("sts-reader", "sts-partner", "sts-lambda"):
    iam.delete_role(RoleName=name)
wrong("InvalidClientTokenId", client("sts", keys).get_caller_identity)
