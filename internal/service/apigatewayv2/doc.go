// Package apigatewayv2 keeps HTTP APIs: their routes, integrations, authorizers, stages and the
// deployments that stages serve. What is deployed the edge reads through a Directory.
//
// What it promises of AWS: Lambda proxy integrations (payload 1.0 and 2.0), route keys with path
// variables, {proxy+} and $default, JWT and Lambda authorizers, AWS_IAM, CORS, stage variables,
// throttling of routes, deployments that are snapshots, automatic deployment, the import of
// OpenAPI 3 definitions, tags. WebSocket APIs, VPC links, HTTP and AWS service integrations,
// parameter mapping, credentials of integrations and authorizers, access logs, domain names and
// API mappings are refused when they are asked for.
package apigatewayv2
