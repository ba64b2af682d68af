import io
import json
import os
import sys
import urllib.error
import urllib.request
import zipfile

from story import ACCOUNT, REGION, client, trust, wrong

api, fn, iam = client("apigateway"), client("lambda"), client("iam")
HERE = os.environ["AWS_ENDPOINT_URL"]


def package(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("app.py", text)
    return out.getvalue()


def call(method, path, stage="prod", headers=None):
    request = urllib.request.Request(f"{HERE}/_aws/execute-api/{ID}/{stage}{path}", method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(), e.headers


def uri(function):
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"


def replace(path, value):
    return [{"op": "replace", "path": path, "value": value}]


role = iam.create_role(RoleName="story-rest", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
config = {"Runtime": f"python3.{sys.version_info.minor}", "Role": role, "Handler": "app.handler"}
target = fn.create_function(FunctionName="story-rest", Code={"ZipFile": package(
    "import json\ndef handler(event, context):\n"
    "    return {'statusCode': 200, 'headers': {'x-who': 'me'}, 'body': json.dumps({k: event.get(k) for k in ('resource', 'path', 'httpMethod', 'pathParameters',"
    " 'queryStringParameters', 'stageVariables')} | {'authorizer': event['requestContext'].get('authorizer')})}\n")}, **config)["FunctionArn"]
judge = fn.create_function(FunctionName="story-rest-judge", Code={"ZipFile": package(
    "def handler(event, context):\n    if event['authorizationToken'] == 'error':\n        raise Exception('Unauthorized')\n"
    "    effect = 'Allow' if event['authorizationToken'] == 'let me' else 'Deny'\n"
    "    return {'principalId': 'ann', 'policyDocument': {'Version': '2012-10-17', 'Statement': [{'Action': 'execute-api:Invoke', 'Effect': effect, 'Resource': event['methodArn']}]},"
    " 'context': {'by': 'judge'}}\n")}, **config)["FunctionArn"]
for name in ("story-rest", "story-rest-judge"):
    fn.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

# An API, part by part.
ID = api.create_rest_api(name="story", description="first", endpointConfiguration={"types": ["REGIONAL"]}, tags={"team": "blue"})["id"]
ARN = f"arn:aws:apigateway:{REGION}::/restapis/{ID}"
for name in ("story-rest", "story-rest-judge"):
    fn.add_permission(FunctionName=name, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com", SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{ID}/*")
assert ID in [a["id"] for a in api.get_rest_apis()["items"]]
assert api.update_rest_api(restApiId=ID, patchOperations=replace("/description", "second"))["description"] == "second"
assert api.get_rest_api(restApiId=ID)["description"] == "second"
wrong("NotFoundException", api.get_rest_api, restApiId="zzzzzzzzzz")
root = api.get_resources(restApiId=ID)["items"][0]["id"]
pets = api.create_resource(restApiId=ID, parentId=root, pathPart="pets")["id"]
pet = api.create_resource(restApiId=ID, parentId=pets, pathPart="{id}")["id"]
assert api.get_resource(restApiId=ID, resourceId=pet)["path"] == "/pets/{id}"
wrong("ConflictException", api.create_resource, restApiId=ID, parentId=root, pathPart="pets")
api.update_resource(restApiId=ID, resourceId=pets, patchOperations=replace("/pathPart", "animals"))
assert {r["path"] for r in api.get_resources(restApiId=ID)["items"]} == {"/", "/animals", "/animals/{id}"}
authorizer = api.create_authorizer(restApiId=ID, name="judge", type="TOKEN", authorizerUri=uri(judge), identitySource="method.request.header.Authorization")["id"]
api.update_authorizer(restApiId=ID, authorizerId=authorizer, patchOperations=replace("/authorizerResultTtlInSeconds", "30"))
assert api.get_authorizer(restApiId=ID, authorizerId=authorizer)["authorizerResultTtlInSeconds"] == 30
assert [a["name"] for a in api.get_authorizers(restApiId=ID)["items"]] == ["judge"]
api.put_method(restApiId=ID, resourceId=pet, httpMethod="GET", authorizationType="NONE", requestParameters={"method.request.path.id": True})
api.put_integration(restApiId=ID, resourceId=pet, httpMethod="GET", type="AWS_PROXY", integrationHttpMethod="POST", uri=uri(target))
api.put_method(restApiId=ID, resourceId=pets, httpMethod="POST", authorizationType="CUSTOM", authorizerId=authorizer)
api.put_integration(restApiId=ID, resourceId=pets, httpMethod="POST", type="AWS_PROXY", integrationHttpMethod="POST", uri=uri(target))
api.put_method(restApiId=ID, resourceId=pets, httpMethod="GET", authorizationType="NONE")
api.update_method(restApiId=ID, resourceId=pets, httpMethod="GET", patchOperations=replace("/authorizationType", "AWS_IAM"))
assert api.get_method(restApiId=ID, resourceId=pets, httpMethod="GET")["authorizationType"] == "AWS_IAM"
api.put_integration(restApiId=ID, resourceId=pets, httpMethod="GET", type="AWS_PROXY", integrationHttpMethod="POST", uri=uri(target))
api.update_integration(restApiId=ID, resourceId=pets, httpMethod="GET", patchOperations=replace("/timeoutInMillis", "5000"))
assert api.get_integration(restApiId=ID, resourceId=pets, httpMethod="GET")["timeoutInMillis"] == 5000

# A method that answers by itself.
api.put_method(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", authorizationType="NONE")
api.put_method_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200", responseParameters={"method.response.header.Access-Control-Allow-Origin": False})
api.update_method_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200",
                           patchOperations=[{"op": "add", "path": "/responseParameters/method.response.header.X-More", "value": "false"}])
assert set(api.get_method_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200")["responseParameters"]) == {
    "method.response.header.Access-Control-Allow-Origin", "method.response.header.X-More"}
api.put_integration(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
api.put_integration_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200", responseParameters={"method.response.header.Access-Control-Allow-Origin": "'*'"})
api.update_integration_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200",
                                patchOperations=replace("/responseParameters/method.response.header.Access-Control-Allow-Origin", "'https://app.example'"))
got = api.get_integration_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200")["responseParameters"]
assert got == {"method.response.header.Access-Control-Allow-Origin": "'https://app.example'"}, got

# Deployments and stages.
deployed = api.create_deployment(restApiId=ID, stageName="prod", variables={"colour": "blue"})["id"]
assert [d["id"] for d in api.get_deployments(restApiId=ID)["items"]] == [deployed]
api.update_deployment(restApiId=ID, deploymentId=deployed, patchOperations=replace("/description", "first"))
assert api.get_deployment(restApiId=ID, deploymentId=deployed)["description"] == "first"
api.create_stage(restApiId=ID, stageName="beta", deploymentId=deployed)
api.update_stage(restApiId=ID, stageName="beta", patchOperations=replace("/variables/colour", "red"))
assert api.get_stage(restApiId=ID, stageName="beta")["variables"] == {"colour": "red"}
assert {s["stageName"] for s in api.get_stages(restApiId=ID)["item"]} == {"prod", "beta"}

status, body, headers = call("GET", "/animals/7?a=1")
got = json.loads(body)
assert status == 200 and headers["x-who"] == "me" and got["pathParameters"] == {"id": "7"} and got["resource"] == "/animals/{id}" and got["path"] == "/animals/7", (status, body)
assert got["queryStringParameters"] == {"a": "1"} and got["stageVariables"] == {"colour": "blue"}, got
assert json.loads(call("GET", "/animals/7", stage="beta")[1])["stageVariables"] == {"colour": "red"}
assert call("GET", "/nothing")[0] == 403  # as REST APIs say it
assert call("POST", "/animals")[0] == 401
assert call("POST", "/animals", headers={"Authorization": "error"})[0] == 401
assert call("POST", "/animals", headers={"Authorization": "no"})[0] == 403
status, body, _ = call("POST", "/animals", headers={"Authorization": "let me"})
assert status == 200 and json.loads(body)["authorizer"]["by"] == "judge" and json.loads(body)["authorizer"]["principalId"] == "ann", (status, body)
assert call("GET", "/animals")[0] == 403
status, _, headers = call("OPTIONS", "/animals")
assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://app.example", (status, headers)

# Tags.
api.tag_resource(resourceArn=ARN, tags={"cost": "7"})
api.untag_resource(resourceArn=ARN, tagKeys=["team"])
assert api.get_tags(resourceArn=ARN)["tags"] == {"cost": "7"}

# From a definition.
definition = {"swagger": "2.0", "info": {"title": "imported", "version": "1"}, "paths": {"/cats": {"get": {
    "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri(target)}, "responses": {}}}}}
imported = api.import_rest_api(body=json.dumps(definition).encode())["id"]
assert {r["path"] for r in api.get_resources(restApiId=imported)["items"]} == {"/", "/cats"}
definition["paths"]["/dogs"] = definition["paths"].pop("/cats")
api.put_rest_api(restApiId=imported, mode="overwrite", body=json.dumps(definition).encode())
assert {r["path"] for r in api.get_resources(restApiId=imported)["items"]} == {"/", "/dogs"}

# All gone again.
api.delete_integration_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200")
api.delete_method_response(restApiId=ID, resourceId=pets, httpMethod="OPTIONS", statusCode="200")
api.delete_integration(restApiId=ID, resourceId=pets, httpMethod="OPTIONS")
api.delete_method(restApiId=ID, resourceId=pets, httpMethod="OPTIONS")
api.delete_resource(restApiId=ID, resourceId=pet)
wrong("BadRequestException", api.delete_deployment, restApiId=ID, deploymentId=deployed)
api.delete_stage(restApiId=ID, stageName="beta")
api.delete_stage(restApiId=ID, stageName="prod")
api.delete_deployment(restApiId=ID, deploymentId=deployed)
api.delete_resource(restApiId=ID, resourceId=pets)
api.delete_authorizer(restApiId=ID, authorizerId=authorizer)
api.delete_rest_api(restApiId=ID)
api.delete_rest_api(restApiId=imported)
for name in ("story-rest", "story-rest-judge"):
    fn.delete_function(FunctionName=name)
iam.delete_role(RoleName="story-rest")
