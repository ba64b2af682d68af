import { DynamoDBClient, DeleteItemCommand } from "@aws-sdk/client-dynamodb";

const table = new DynamoDBClient({});

export async function handler(event) {
  const owner = event.requestContext.authorizer.jwt.claims.sub;
  try {
    await table.send(new DeleteItemCommand({
      TableName: process.env.TABLE,
      Key: { owner: { S: owner }, id: { S: event.pathParameters.id } },
    }));
    return { statusCode: 204 };
  } catch (error) {
    if (error.name !== "AccessDeniedException") throw error;
    // The caller learns that it was refused and under which id; the reason is for the owner.
    console.log("refused", error.message);
    return {
      statusCode: 403,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ message: "Forbidden", requestId: error.$metadata.requestId }),
    };
  }
}
