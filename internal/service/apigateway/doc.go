// Package apigateway keeps REST APIs: their resources, methods, integrations, authorizers,
// deployments and stages. What is deployed the edge reads through a Directory.
//
// What it promises of AWS: Lambda proxy integrations; MOCK integrations with a fixed answer, as CORS
// methods have; resource policies; AWS_IAM; TOKEN and REQUEST authorizers; binary media types;
// deployments that are snapshots; throttling by method; stage variables; the import of Swagger 2
// and OpenAPI 3 definitions; tags; updates by patch. Other integrations, templates that compute,
// Cognito authorizers, API keys, usage plans, models, request validators, gateway responses,
// caches, canaries, logs, private endpoints and domain names are refused when they are asked for.
package apigateway
