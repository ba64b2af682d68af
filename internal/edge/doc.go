// Package edge takes application traffic: requests to HTTP APIs, REST APIs and function URLs, which
// carry no AWS signature of the API's own. It replaces stations 2 to 5 and then joins the one door:
//
//	size → API and stage → CORS preflight → route → rate → authorizer → gate (6 to 9) → answer
//
// Every request that a route takes is one call of the operation execute-api:Invoke, which is
// decided, recorded and, as the handler, run by this package's Unit: the function is called as
// apigateway.amazonaws.com on behalf of the route, so that the function's own policy decides.
//
// A function URL is one route of its own. Its call is lambda:InvokeFunctionUrl and needs
// lambda:InvokeFunction beside; the function is invoked as the one who calls.
//
// A route without authorisation answers this machine only, until it is acknowledged by name.
//
// Services are not known here: what is deployed comes through HTTPAPIs, RESTAPIs and URLs.
package edge
