import base64
import json
import os

import boto3

bucket = boto3.client("s3")
table = boto3.client("dynamodb")


def handler(event, context):
    owner = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    task = event["pathParameters"]["id"]
    found = table.get_item(
        TableName=os.environ["TABLE"], Key={"owner": {"S": owner}, "id": {"S": task}}
    )
    if "Item" not in found:
        return {"statusCode": 404, "body": json.dumps({"message": "no such task"})}
    body = event.get("body") or ""
    data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    key = f"attachments/{owner}/{task}"
    bucket.put_object(Bucket=os.environ["BUCKET"], Key=key, Body=data)
    return {"statusCode": 201, "body": json.dumps({"key": key, "bytes": len(data)})}
