import re

from story import ACCOUNT, REGION, client, policy, wrong

ec2, iam = client("ec2"), client("iam")
ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]


def arn(kind, name):
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{name}"


def tagged(kind, **tags):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]


def where(**filters):
    return [{"Name": k.replace("_", "-"), "Values": [v]} for k, v in filters.items()]


def may(call, **request):
    """Asks whether a call may be made, which changes nothing."""
    answer = wrong("DryRunOperation", call, "Request would have succeeded", DryRun=True, **request)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 412, answer


# VPCs.
may(ec2.create_vpc, CidrBlock="10.0.0.0/16")
assert ec2.describe_vpcs()["Vpcs"] == []
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", team="blue"))["Vpc"]
v = vpc["VpcId"]
assert re.fullmatch("vpc-[0-9a-f]{17}", v) and vpc["CidrBlock"] == "10.0.0.0/16" and vpc["OwnerId"] == ACCOUNT and vpc["IsDefault"] is False, vpc
assert vpc["Tags"] == [{"Key": "team", "Value": "blue"}], vpc
other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
ec2.get_waiter("vpc_available").wait(VpcIds=[v, other], WaiterConfig={"Delay": 1, "MaxAttempts": 3})
assert ec2.describe_vpcs(VpcIds=[v])["Vpcs"] == [vpc]
for filters in (where(cidr="10.0.*"), [{"Name": "tag:team", "Values": ["b?ue"]}], where(tag_key="team")):
    assert [x["VpcId"] for x in ec2.describe_vpcs(Filters=filters)["Vpcs"]] == [v], filters
pages = ec2.get_paginator("describe_vpcs").paginate(PaginationConfig={"PageSize": 5})
assert {x["VpcId"] for p in pages for x in p["Vpcs"]} == {v, other}
wrong("InvalidParameterValue", ec2.create_vpc, "This is not a valid CIDR block.", CidrBlock="10.0.0.0")
wrong("InvalidVpc.Range", ec2.create_vpc, CidrBlock="10.0.0.0/8")
wrong("InvalidParameterValue", ec2.create_vpc, "taggable resource type", CidrBlock="10.0.0.0/16", TagSpecifications=tagged("subnet", a="b"))
wrong("NotImplemented", ec2.create_vpc, "IPv6", CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)
wrong("InvalidVpcID.NotFound", ec2.describe_vpcs, "vpc-0", VpcIds=["vpc-0"])
wrong("InvalidVpcID.NotFound", ec2.delete_vpc, VpcId="vpc-0")
wrong("InvalidParameterValue", ec2.describe_vpcs, "The filter 'colour' is invalid", Filters=where(colour="blue"))

# Subnets.
may(ec2.create_subnet, VpcId=v, CidrBlock="10.0.1.0/24")
subnet = ec2.create_subnet(VpcId=v, CidrBlock="10.0.1.0/24", AvailabilityZone=REGION + "b", TagSpecifications=tagged("subnet", tier="inner"))["Subnet"]
n = subnet["SubnetId"]
assert n.startswith("subnet-") and subnet["SubnetArn"] == arn("subnet", n) and subnet["VpcId"] == v and subnet["AvailabilityZone"] == REGION + "b", subnet
assert subnet["AvailableIpAddressCount"] == 251 and subnet["State"] == "available", subnet  # five of 256 are kept
second = ec2.create_subnet(VpcId=v, CidrBlock="10.0.2.0/24")["Subnet"]
assert second["AvailabilityZone"] == REGION + "a", second
assert ec2.describe_subnets(SubnetIds=[n])["Subnets"] == [subnet]
found = ec2.describe_subnets(Filters=where(vpc_id=v, availability_zone=REGION + "a"))["Subnets"]
assert [x["SubnetId"] for x in found] == [second["SubnetId"]], found
wrong("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=v, CidrBlock="10.0.1.128/25")
wrong("InvalidSubnet.Range", ec2.create_subnet, VpcId=v, CidrBlock="192.168.0.0/24")
wrong("InvalidVpcID.NotFound", ec2.create_subnet, VpcId="vpc-0", CidrBlock="10.0.1.0/24")
wrong("InvalidSubnetID.NotFound", ec2.describe_subnets, SubnetIds=["subnet-0"])
wrong("InvalidSubnetID.NotFound", ec2.delete_subnet, SubnetId="subnet-0")

# Security groups: a VPC has one, and each begins with all traffic out.
first = ec2.describe_security_groups(Filters=where(vpc_id=v))["SecurityGroups"]
assert [g["GroupName"] for g in first] == ["default"], first
wrong("CannotDelete", ec2.delete_security_group, GroupId=first[0]["GroupId"])
may(ec2.create_security_group, GroupName="app", Description="an app", VpcId=v)
made = ec2.create_security_group(GroupName="app", Description="an app", VpcId=v, TagSpecifications=tagged("security-group", team="blue"))
g = made["GroupId"]
assert g.startswith("sg-") and made["SecurityGroupArn"] == arn("security-group", g) and made["Tags"] == [{"Key": "team", "Value": "blue"}], made


def group():
    return ec2.describe_security_groups(GroupIds=[g])["SecurityGroups"][0]


got = group()
assert (got["GroupName"], got["Description"], got["VpcId"], got["IpPermissions"]) == ("app", "an app", v, []), got
everything = {"IpProtocol": "-1", "IpRanges": ANYWHERE}
assert len(got["IpPermissionsEgress"]) == 1 and got["IpPermissionsEgress"][0].items() >= everything.items(), got
assert [x["GroupId"] for x in ec2.describe_security_groups(Filters=where(group_name="app", vpc_id=v))["SecurityGroups"]] == [g]
wrong("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="app", Description="again", VpcId=v)
wrong("InvalidParameterValue", ec2.create_security_group, GroupName="default", Description="mine", VpcId=v)
wrong("VPCIdNotSpecified", ec2.create_security_group, GroupName="app", Description="nowhere")
wrong("InvalidVpcID.NotFound", ec2.create_security_group, GroupName="app", Description="nowhere", VpcId="vpc-0")
wrong("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=["sg-0"])
wrong("InvalidGroup.NotFound", ec2.delete_security_group, GroupId="sg-0")

# Rules out.
ec2.revoke_security_group_egress(GroupId=g, IpPermissions=[everything])
assert group()["IpPermissionsEgress"] == []
wrong("InvalidPermission.NotFound", ec2.revoke_security_group_egress, GroupId=g, IpPermissions=[everything])
https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "the web"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
may(ec2.authorize_security_group_egress, GroupId=g, IpPermissions=[https])
assert group()["IpPermissionsEgress"] == []
rules = ec2.authorize_security_group_egress(GroupId=g, IpPermissions=[https])["SecurityGroupRules"]
assert [(r.get("CidrIpv4"), r.get("CidrIpv6")) for r in rules] == [("0.0.0.0/0", None), (None, "::/0")], rules
assert all(r["IsEgress"] and r["GroupId"] == g and (r["IpProtocol"], r["FromPort"], r["ToPort"]) == ("tcp", 443, 443) for r in rules), rules
assert rules[0]["Description"] == "the web" and rules[0]["SecurityGroupRuleId"].startswith("sgr-"), rules
shown = group()["IpPermissionsEgress"]
assert len(shown) == 1 and shown[0].items() >= https.items(), shown
wrong("InvalidPermission.Duplicate", ec2.authorize_security_group_egress, "TCP, from port: 443, to port: 443, ALLOW", GroupId=g, IpPermissions=[https])
wrong("InvalidGroup.NotFound", ec2.authorize_security_group_egress, GroupId="sg-0", IpPermissions=[https])
wrong("InvalidParameterValue", ec2.authorize_security_group_egress, "portRange", GroupId=g, IpPermissions=[{**https, "ToPort": 80}])
wrong("InvalidParameterValue", ec2.authorize_security_group_egress, "malformed", GroupId=g, IpPermissions=[{**https, "IpRanges": [{"CidrIp": "10.0.0.0"}]}])
wrong("InvalidParameterValue", ec2.authorize_security_group_egress, "Unknown protocol", GroupId=g, IpPermissions=[{**https, "IpProtocol": "carrier"}])
wrong("MissingParameter", ec2.authorize_security_group_egress, GroupId=g)
wrong("InvalidSecurityGroupRuleId.NotFound", ec2.revoke_security_group_egress, GroupId=g, SecurityGroupRuleIds=["sgr-0"])
gone = ec2.revoke_security_group_egress(GroupId=g, SecurityGroupRuleIds=[rules[1]["SecurityGroupRuleId"]])
assert gone["Return"] and [r["CidrIpv6"] for r in gone["RevokedSecurityGroupRules"]] == ["::/0"], gone
assert group()["IpPermissionsEgress"][0]["Ipv6Ranges"] == []

# Rules in, as old clients write them and from another group, which it then holds.
ec2.authorize_security_group_ingress(GroupId=g, IpProtocol="tcp", FromPort=80, ToPort=81, CidrIp="10.0.0.0/16")
peer = ec2.create_security_group(GroupName="peer", Description="a peer", VpcId=v)["GroupId"]
from_peer = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": peer}]}
rule = ec2.authorize_security_group_ingress(GroupId=g, IpPermissions=[from_peer])["SecurityGroupRules"][0]
assert not rule["IsEgress"] and rule["ReferencedGroupInfo"] == {"GroupId": peer, "UserId": ACCOUNT}, rule
shown = group()["IpPermissions"]
assert [(p["FromPort"], p["ToPort"], [r["CidrIp"] for r in p["IpRanges"]], [x["GroupId"] for x in p["UserIdGroupPairs"]]) for p in shown] == [
    (80, 81, ["10.0.0.0/16"], []), (5432, 5432, [], [peer])], shown
wrong("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=g, IpPermissions=[from_peer])
wrong("DependencyViolation", ec2.delete_security_group, "dependent object", GroupId=peer)
wrong("InvalidPermission.NotFound", ec2.revoke_security_group_ingress, GroupId=g, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.0/16")
assert ec2.revoke_security_group_ingress(GroupId=g, IpPermissions=[from_peer])["Return"]
ec2.revoke_security_group_ingress(GroupId=g, IpProtocol="tcp", FromPort=80, ToPort=81, CidrIp="10.0.0.0/16")
assert group()["IpPermissions"] == []
assert ec2.delete_security_group(GroupId=peer)["GroupId"] == peer

# Tags of several at once; a tag goes by its key, or only where it has a value.
may(ec2.create_tags, Resources=[v], Tags=[{"Key": "cost", "Value": "7"}])
ec2.create_tags(Resources=[v, n, g], Tags=[{"Key": "cost", "Value": "7"}])
assert {"Key": "cost", "Value": "7"} in group()["Tags"]
ec2.delete_tags(Resources=[v], Tags=[{"Key": "cost", "Value": "8"}])
assert [t["Key"] for t in ec2.describe_vpcs(VpcIds=[v])["Vpcs"][0]["Tags"]] == ["cost", "team"]
ec2.delete_tags(Resources=[v, n], Tags=[{"Key": "cost"}])
assert ec2.describe_subnets(SubnetIds=[n])["Subnets"] == [subnet] and ec2.describe_vpcs(VpcIds=[v])["Vpcs"] == [vpc]
ec2.delete_tags(Resources=[g])
assert not group().get("Tags")
wrong("InvalidVpcID.NotFound", ec2.create_tags, Resources=[v, "vpc-0"], Tags=[{"Key": "all", "Value": "or none"}])
assert ec2.describe_vpcs(VpcIds=[v])["Vpcs"] == [vpc]
wrong("InvalidID", ec2.create_tags, Resources=["x-0"], Tags=[{"Key": "a", "Value": "b"}])
wrong("InvalidParameterValue", ec2.create_tags, "reserved", Resources=[v], Tags=[{"Key": "aws:a", "Value": "b"}])
wrong("InvalidSubnetID.NotFound", ec2.delete_tags, Resources=["subnet-0"])

# Who may only what is tagged so, may not the rest.
iam.create_user(UserName="ec2-blue")
iam.put_user_policy(UserName="ec2-blue", PolicyName="own", PolicyDocument=policy(("Allow", "ec2:Describe*", "*"), {
    "Effect": "Allow", "Action": "ec2:CreateTags", "Resource": arn("vpc", "*"), "Condition": {"StringEquals": {"aws:ResourceTag/team": "blue"}}}))
keys = iam.create_access_key(UserName="ec2-blue")["AccessKey"]
blue = client("ec2", keys)
assert len(blue.describe_vpcs()["Vpcs"]) == 2
blue.create_tags(Resources=[v], Tags=[{"Key": "by", "Value": "blue"}])
wrong("UnauthorizedOperation", blue.create_tags, Resources=[other], Tags=[{"Key": "by", "Value": "blue"}])
wrong("UnauthorizedOperation", blue.delete_vpc, VpcId=v, DryRun=True)
iam.delete_access_key(UserName="ec2-blue", AccessKeyId=keys["AccessKeyId"])
iam.delete_user_policy(UserName="ec2-blue", PolicyName="own")
iam.delete_user(UserName="ec2-blue")

# Each region keeps its own.
assert client("ec2", region="eu-west-1").describe_vpcs()["Vpcs"] == []

# All gone again; a VPC goes when nothing but its first group is left in it.
wrong("DependencyViolation", ec2.delete_vpc, "has dependencies", VpcId=v)
may(ec2.delete_security_group, GroupId=g)
ec2.delete_security_group(GroupId=g)
wrong("InvalidGroup.NotFound", group)
for x in (n, second["SubnetId"]):
    ec2.delete_subnet(SubnetId=x)
may(ec2.delete_vpc, VpcId=v)
for x in (v, other):
    ec2.delete_vpc(VpcId=x)
assert ec2.describe_vpcs()["Vpcs"] == [] and ec2.describe_security_groups()["SecurityGroups"] == []
