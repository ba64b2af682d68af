import io
import json
import os
import sys
import urllib.error
import urllib.request
import zipfile

from story import ACCOUNT, REGION, client, policy, trust, wrong

api, fn, iam = client("apigatewayv2"), client("lambda"), client("iam")
HERE = os.environ["AWS_ENDPOINT_URL"]


def package(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("app.py", text)
    return out.getvalue()


def call(method, path, stage="$default", headers=None, data=None):
    request = urllib.request.Request(f"{HERE}/_aws/execute-api/{ID}/{stage}{path}", method=method, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(), e.headers


role = iam.create_role(RoleName="story-http", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
config = {"Runtime": f"python3.{sys.version_info.minor}", "Role": role, "Handler": "app.handler"}
target = fn.create_function(FunctionName="story-http", Code={"ZipFile": package(
    "import json\ndef handler(event, context):\n"
    "    return {'statusCode': 201, 'headers': {'x-who': 'me'}, 'body': json.dumps({'version': event['version'], 'route': event.get('routeKey'), 'path': event.get('rawPath'),"
    " 'vars': event.get('pathParameters'), 'query': event.get('queryStringParameters'), 'stage': event.get('stageVariables'), 'body': event.get('body'),"
    " 'authorizer': event['requestContext'].get('authorizer')})}\n")}, **config)["FunctionArn"]
judge = fn.create_function(FunctionName="story-judge", Code={"ZipFile": package(
    "def handler(event, context):\n    return {'isAuthorized': event['headers'].get('authorization') == 'let me', 'context': {'by': 'judge'}}\n")}, **config)["FunctionArn"]
for name in ("story-http", "story-judge"):
    fn.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

# An API, part by part.
made = api.create_api(Name="story", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["https://app.example"], "AllowMethods": ["GET"], "MaxAge": 60}, Tags={"team": "blue"})
ID, ARN = made["ApiId"], f"arn:aws:apigateway:{REGION}::/apis/{made['ApiId']}"
assert made["ApiEndpoint"] and made["ProtocolType"] == "HTTP", made
assert ID in [a["ApiId"] for a in api.get_apis()["Items"]]
assert api.get_api(ApiId=ID)["Name"] == "story"
api.update_api(ApiId=ID, Description="changed")
assert api.get_api(ApiId=ID)["Description"] == "changed"
wrong("NotFoundException", api.get_api, ApiId="zzzzzzzzzz")
wrong("BadRequestException", api.create_api, Name="x", ProtocolType="HTTP", RouteSelectionExpression="$request.body.action")

integration = api.create_integration(ApiId=ID, IntegrationType="AWS_PROXY", IntegrationUri=target, PayloadFormatVersion="2.0")["IntegrationId"]
api.update_integration(ApiId=ID, IntegrationId=integration, TimeoutInMillis=5000)
assert api.get_integration(ApiId=ID, IntegrationId=integration)["TimeoutInMillis"] == 5000
assert len(api.get_integrations(ApiId=ID)["Items"]) == 1
authorizer = api.create_authorizer(ApiId=ID, AuthorizerType="REQUEST", Name="judge", IdentitySource=["$request.header.Authorization"], AuthorizerPayloadFormatVersion="2.0",
                                   EnableSimpleResponses=True, AuthorizerUri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{judge}/invocations")["AuthorizerId"]
api.update_authorizer(ApiId=ID, AuthorizerId=authorizer, AuthorizerResultTtlInSeconds=30)
assert api.get_authorizer(ApiId=ID, AuthorizerId=authorizer)["AuthorizerResultTtlInSeconds"] == 30
assert len(api.get_authorizers(ApiId=ID)["Items"]) == 1
open_route = api.create_route(ApiId=ID, RouteKey="GET /pets/{id}", Target=f"integrations/{integration}")["RouteId"]
shut_route = api.create_route(ApiId=ID, RouteKey="POST /pets", Target=f"integrations/{integration}", AuthorizationType="CUSTOM", AuthorizerId=authorizer)["RouteId"]
signed_route = api.create_route(ApiId=ID, RouteKey="GET /signed", Target=f"integrations/{integration}", AuthorizationType="AWS_IAM")["RouteId"]
wrong("ConflictException", api.create_route, ApiId=ID, RouteKey="POST /pets")
assert len(api.get_routes(ApiId=ID)["Items"]) == 3
assert api.get_route(ApiId=ID, RouteId=shut_route)["AuthorizerId"] == authorizer
api.update_route(ApiId=ID, RouteId=open_route, OperationName="GetPet")
api.create_stage(ApiId=ID, StageName="$default", AutoDeploy=True, StageVariables={"colour": "blue"})
assert [s["StageName"] for s in api.get_stages(ApiId=ID)["Items"]] == ["$default"]

# It may call the functions only with their permission.
status, body, _ = call("GET", "/pets/7")
assert status == 500, (status, body)
for name in ("story-http", "story-judge"):
    fn.add_permission(FunctionName=name, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com", SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{ID}/*")
status, body, headers = call("GET", "/pets/7?a=1&a=2")
got = json.loads(body)
assert status == 201 and headers["x-who"] == "me" and got["vars"] == {"id": "7"} and got["query"] == {"a": "1,2"} and got["stage"] == {"colour": "blue"} and got["version"] == "2.0", (status, body)
assert got["route"] == "GET /pets/{id}" and got["path"] == "/pets/7", got
assert call("GET", "/nothing")[0] == 404
assert call("POST", "/pets")[0] == 401
assert call("POST", "/pets", headers={"Authorization": "no"})[0] == 403
status, body, _ = call("POST", "/pets", headers={"Authorization": "let me", "Content-Type": "text/plain"}, data=b"hello")
assert status == 201 and json.loads(body)["authorizer"]["lambda"] == {"by": "judge"} and json.loads(body)["body"] == "hello", (status, body)
assert call("GET", "/signed")[0] == 403
status, _, headers = call("OPTIONS", "/pets/7", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "GET"})
assert status == 204 and headers["access-control-allow-origin"] == "https://app.example", (status, headers)
api.delete_cors_configuration(ApiId=ID)
assert "CorsConfiguration" not in api.get_api(ApiId=ID)

# Stages that serve a deployment, and settings of their routes.
deployed = api.create_deployment(ApiId=ID, Description="by hand")["DeploymentId"]
assert deployed in [d["DeploymentId"] for d in api.get_deployments(ApiId=ID)["Items"]]
assert api.get_deployment(ApiId=ID, DeploymentId=deployed)["Description"] == "by hand"
api.update_deployment(ApiId=ID, DeploymentId=deployed, Description="renamed")
api.create_stage(ApiId=ID, StageName="beta", DeploymentId=deployed, RouteSettings={"GET /pets/{id}": {"ThrottlingBurstLimit": 5, "ThrottlingRateLimit": 5.0}})
assert api.get_stage(ApiId=ID, StageName="beta")["DeploymentId"] == deployed
api.delete_route_settings(ApiId=ID, StageName="beta", RouteKey="GET /pets/{id}")
api.update_stage(ApiId=ID, StageName="beta", StageVariables={"colour": "red"})
api.delete_route(ApiId=ID, RouteId=open_route)
assert call("GET", "/pets/7")[0] == 404  # gone from the stage that deploys by itself
status, body, _ = call("GET", "/pets/7", stage="beta")
assert status == 201 and json.loads(body)["stage"] == {"colour": "red"}, (status, body)  # still in the other

# Tags.
api.tag_resource(ResourceArn=ARN, Tags={"cost": "7"})
api.untag_resource(ResourceArn=ARN, TagKeys=["team"])
assert api.get_tags(ResourceArn=ARN)["Tags"] == {"cost": "7"}

# From a definition.
definition = {"openapi": "3.0.1", "info": {"title": "imported", "version": "1"}, "paths": {"/cats": {"get": {
    "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "payloadFormatVersion": "2.0", "uri": target}, "responses": {}}}}}
imported = api.import_api(Body=json.dumps(definition))["ApiId"]
assert [r["RouteKey"] for r in api.get_routes(ApiId=imported)["Items"]] == ["GET /cats"]
definition["paths"]["/dogs"] = definition["paths"].pop("/cats")
api.reimport_api(ApiId=imported, Body=json.dumps(definition))
assert [r["RouteKey"] for r in api.get_routes(ApiId=imported)["Items"]] == ["GET /dogs"]

# All gone again.
api.delete_stage(ApiId=ID, StageName="beta")
api.delete_stage(ApiId=ID, StageName="$default")
api.delete_deployment(ApiId=ID, DeploymentId=deployed)
api.delete_route(ApiId=ID, RouteId=shut_route)
api.delete_route(ApiId=ID, RouteId=signed_route)
api.delete_authorizer(ApiId=ID, AuthorizerId=authorizer)
api.delete_integration(ApiId=ID, IntegrationId=integration)
api.delete_api(ApiId=ID)
api.delete_api(ApiId=imported)
assert call("POST", "/pets")[0] in (403, 404)
for name in ("story-http", "story-judge"):
    fn.delete_function(FunctionName=name)
iam.delete_role(RoleName="story-http")
assert policy
