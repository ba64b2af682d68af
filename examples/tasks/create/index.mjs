import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { randomUUID } from "node:crypto";

const table = new DynamoDBClient({});

export async function handler(event) {
  const body = Buffer.from(event.body ?? "{}", event.isBase64Encoded ? "base64" : "utf8").toString();
  const { title } = JSON.parse(body);
  if (typeof title !== "string" || title.length === 0 || title.length > 200) {
    return { statusCode: 400, body: JSON.stringify({ message: "title must be 1 to 200 characters" }) };
  }
  const owner = event.requestContext.authorizer.jwt.claims.sub;
  const task = { owner, id: randomUUID(), title };
  await table.send(new PutItemCommand({
    TableName: process.env.TABLE,
    Item: { owner: { S: task.owner }, id: { S: task.id }, title: { S: task.title } },
    ConditionExpression: "attribute_not_exists(id)",
  }));
  console.log("created", task.id);
  return { statusCode: 201, headers: { "content-type": "application/json" }, body: JSON.stringify(task) };
}
