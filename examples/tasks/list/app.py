import json
import os

import boto3

table = boto3.client("dynamodb")


def handler(event, context):
    owner = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    answer = table.query(
        TableName=os.environ["TABLE"],
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": owner}},
    )
    tasks = [{"id": t["id"]["S"], "title": t["title"]["S"]} for t in answer["Items"]]
    return {"tasks": tasks}
