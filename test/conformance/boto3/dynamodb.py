from decimal import Decimal

import boto3
from story import ACCOUNT, REGION, client, until, wrong

ddb = client("dynamodb")
TABLE = "story-orders"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"


def S(s):
    return {"S": s}


def N(n):
    return {"N": str(n)}


assert ddb.describe_endpoints()["Endpoints"][0]["CachePeriodInMinutes"] > 0
assert ddb.describe_limits()["AccountMaxReadCapacityUnits"] > 0

# A table with a global and a local index.
made = ddb.create_table(
    TableName=TABLE,
    AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("customer", "S"), ("at", "N"), ("state", "S"))],
    KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    GlobalSecondaryIndexes=[{"IndexName": "by-state", "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
                             "Projection": {"ProjectionType": "ALL"}}],
    BillingMode="PAY_PER_REQUEST", Tags=[{"Key": "team", "Value": "blue"}])["TableDescription"]
assert made["TableArn"] == ARN, made
wrong("ResourceInUseException", ddb.create_table, TableName=TABLE, AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
      KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST")
ddb.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
assert ddb.describe_table(TableName=TABLE)["Table"]["TableStatus"] == "ACTIVE"
assert TABLE in ddb.list_tables()["TableNames"]

# Items: every type there and back.
item = {"customer": S("ann"), "at": N(1), "state": S("open"), "bytes": {"B": b"\x00\xff"}, "yes": {"BOOL": True}, "nil": {"NULL": True},
        "list": {"L": [N("1.50"), S("x")]}, "map": {"M": {"deep": {"M": {"er": N(7)}}}}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": [b"q"]}}
ddb.put_item(TableName=TABLE, Item=item)
got = ddb.get_item(TableName=TABLE, Key={"customer": S("ann"), "at": N("1.0")}, ConsistentRead=True)["Item"]
assert got["bytes"]["B"] == b"\x00\xff" and got["map"] == item["map"] and got["list"]["L"][0] == N("1.5") and sorted(got["ss"]["SS"]) == ["a", "b"], got
assert "Item" not in ddb.get_item(TableName=TABLE, Key={"customer": S("ann"), "at": N(99)})
part = ddb.get_item(TableName=TABLE, Key={"customer": S("ann"), "at": N(1)}, ProjectionExpression="#m.deep.er, #l[0]", ExpressionAttributeNames={"#m": "map", "#l": "list"})["Item"]
assert part == {"map": {"M": {"deep": {"M": {"er": N(7)}}}}, "list": {"L": [N("1.5")]}}, part

# Conditions.
refused = wrong("ConditionalCheckFailedException", ddb.put_item, "The conditional request failed", TableName=TABLE, Item=item,
                ConditionExpression="attribute_not_exists(customer)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
assert refused["Item"]["state"] == S("open"), refused
up = ddb.update_item(TableName=TABLE, Key={"customer": S("ann"), "at": N(1)}, UpdateExpression="SET #s = :paid, amount = if_not_exists(amount, :zero) + :ten REMOVE nil ADD ns :three DELETE ss :a",
                     ConditionExpression="#s = :open AND size(ss) = :two AND contains(ss, :x)",
                     ExpressionAttributeNames={"#s": "state"}, ReturnValues="ALL_NEW",
                     ExpressionAttributeValues={":paid": S("paid"), ":zero": N(0), ":ten": N(10), ":three": {"NS": ["3"]}, ":a": {"SS": ["a"]}, ":open": S("open"), ":two": N(2), ":x": S("b")})["Attributes"]
assert up["state"] == S("paid") and up["amount"] == N(10) and "nil" not in up and sorted(up["ns"]["NS"]) == ["1", "2", "3"] and up["ss"] == {"SS": ["b"]}, up

# What DynamoDB's clients read in a refusal.
key = {"customer": S("ann"), "at": N(1)}
wrong("ValidationException", ddb.get_item, "The provided key element does not match the schema", TableName=TABLE, Key={"customer": S("ann")})
wrong("ValidationException", ddb.put_item, "One or more parameter values were invalid: Missing the key at in the item", TableName=TABLE, Item={"customer": S("x")})
wrong("ValidationException", ddb.put_item, "Type mismatch for key", TableName=TABLE, Item={"customer": N(1), "at": N(1)})
wrong("ValidationException", ddb.update_item, "Invalid UpdateExpression: Syntax error", TableName=TABLE, Key=key, UpdateExpression="SET a = ")
wrong("ValidationException", ddb.update_item, "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: state", TableName=TABLE, Key=key,
      UpdateExpression="SET state = :s", ExpressionAttributeValues={":s": S("x")})
wrong("ValidationException", ddb.query, "Query condition missed key schema element: customer", TableName=TABLE, KeyConditionExpression="#a = :a",
      ExpressionAttributeNames={"#a": "at"}, ExpressionAttributeValues={":a": N(1)})
wrong("ResourceNotFoundException", ddb.get_item, "Requested resource not found", TableName="story-none", Key=key)

# Batches, queries forward and back, pages, filters, indexes, scans in segments.
writes = [{"PutRequest": {"Item": {"customer": S(f"c{n % 3}"), "at": N(n), "state": S("open" if n % 2 else "done"), "n": N(n)}}} for n in range(24)]
assert ddb.batch_write_item(RequestItems={TABLE: writes})["UnprocessedItems"] == {}
wrong("ValidationException", ddb.batch_write_item, RequestItems={TABLE: writes + writes[:2]})
page = ddb.query(TableName=TABLE, KeyConditionExpression="customer = :c AND #at BETWEEN :a AND :b", ExpressionAttributeNames={"#at": "at"},
                 ExpressionAttributeValues={":c": S("c0"), ":a": N(3), ":b": N(15)}, ScanIndexForward=False, Limit=2)
assert [i["at"]["N"] for i in page["Items"]] == ["15", "12"] and page["LastEvaluatedKey"]["at"] == N(12), page
pages = ddb.get_paginator("query").paginate(TableName=TABLE, IndexName="by-state", KeyConditionExpression="#s = :s", FilterExpression="n > :n",
                                            ExpressionAttributeNames={"#s": "state"}, ExpressionAttributeValues={":s": S("done"), ":n": N(5)}, PaginationConfig={"PageSize": 3})
done = [int(i["at"]["N"]) for p in pages for i in p["Items"]]
assert done == list(range(6, 24, 2)), done
count = ddb.query(TableName=TABLE, KeyConditionExpression="customer = :c", ExpressionAttributeValues={":c": S("c1")}, Select="COUNT", ReturnConsumedCapacity="TOTAL")
assert count["Count"] == 8 and count["ConsumedCapacity"]["TableName"] == TABLE, count
seen = [i for n in range(3) for i in ddb.scan(TableName=TABLE, TotalSegments=3, Segment=n, FilterExpression="begins_with(customer, :c)", ExpressionAttributeValues={":c": S("c")})["Items"]]
assert len(seen) == 24, len(seen)
got = ddb.batch_get_item(RequestItems={TABLE: {"Keys": [{"customer": S("c0"), "at": N(0)}, {"customer": S("c1"), "at": N(1)}, {"customer": S("c1"), "at": N(2)}], "ProjectionExpression": "n"}})
assert sorted(i["n"]["N"] for i in got["Responses"][TABLE]) == ["0", "1"] and got["UnprocessedKeys"] == {}, got

# Transactions: all or nothing, and each part says why.
ddb.transact_write_items(TransactItems=[
    {"Put": {"TableName": TABLE, "Item": {"customer": S("t"), "at": N(1), "n": N(1)}, "ConditionExpression": "attribute_not_exists(customer)"}},
    {"Update": {"TableName": TABLE, "Key": {"customer": S("c0"), "at": N(0)}, "UpdateExpression": "SET n = n + :one", "ExpressionAttributeValues": {":one": N(1)}}},
    {"ConditionCheck": {"TableName": TABLE, "Key": {"customer": S("c1"), "at": N(1)}, "ConditionExpression": "attribute_exists(customer)"}},
    {"Delete": {"TableName": TABLE, "Key": {"customer": S("c2"), "at": N(2)}}}])
answer = wrong("TransactionCanceledException", ddb.transact_write_items, "[None, ConditionalCheckFailed]", TransactItems=[
    {"Put": {"TableName": TABLE, "Item": {"customer": S("t"), "at": N(2)}}},
    {"Put": {"TableName": TABLE, "Item": {"customer": S("t"), "at": N(1)}, "ConditionExpression": "attribute_not_exists(customer)"}}])
assert [r["Code"] for r in answer["CancellationReasons"]] == ["None", "ConditionalCheckFailed"], answer
both = ddb.transact_get_items(TransactItems=[{"Get": {"TableName": TABLE, "Key": {"customer": S("t"), "at": N(n)}}} for n in (1, 2)])["Responses"]
assert both[0]["Item"]["n"] == N(1) and "Item" not in both[1], both

# The resource interface, as most applications use it.
table = boto3.resource("dynamodb").Table(TABLE)
table.put_item(Item={"customer": "res", "at": 5, "price": Decimal("12.34")})
assert table.get_item(Key={"customer": "res", "at": 5})["Item"]["price"] == Decimal("12.34")
old = ddb.delete_item(TableName=TABLE, Key={"customer": S("res"), "at": N(5)}, ReturnValues="ALL_OLD")["Attributes"]
assert old["price"] == N("12.34"), old

assert ddb.describe_continuous_backups(TableName=TABLE)["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"

# Time to live, tags, an index that comes later.
assert ddb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
ddb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
assert ddb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]["AttributeName"] == "expires"
ddb.tag_resource(ResourceArn=ARN, Tags=[{"Key": "cost", "Value": "7"}])
ddb.untag_resource(ResourceArn=ARN, TagKeys=["team"])
assert ddb.list_tags_of_resource(ResourceArn=ARN)["Tags"] == [{"Key": "cost", "Value": "7"}]
ddb.update_table(TableName=TABLE, AttributeDefinitions=[{"AttributeName": "n", "AttributeType": "N"}, *made["AttributeDefinitions"]],
                 GlobalSecondaryIndexUpdates=[{"Create": {"IndexName": "by-n", "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}], "Projection": {"ProjectionType": "KEYS_ONLY"}}}])
ddb.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
until("the new index", lambda: all(i["IndexStatus"] == "ACTIVE" for i in ddb.describe_table(TableName=TABLE)["Table"]["GlobalSecondaryIndexes"]))
got = ddb.query(TableName=TABLE, IndexName="by-n", KeyConditionExpression="n = :n", ExpressionAttributeValues={":n": N(7)})["Items"]
assert len(got) == 1 and set(got[0]) == {"customer", "at", "n"}, got

# Each region keeps its own.
assert client("dynamodb", region="eu-central-1").list_tables()["TableNames"] == []

ddb.update_table(TableName=TABLE, DeletionProtectionEnabled=True)
wrong("ValidationException", ddb.delete_table, TableName=TABLE)
ddb.update_table(TableName=TABLE, DeletionProtectionEnabled=False)
ddb.delete_table(TableName=TABLE)
ddb.get_waiter("table_not_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
wrong("ResourceNotFoundException", ddb.describe_table, TableName=TABLE)
