package edge

// eventV1 is payload version 1.0 of an HTTP API and the proxy event of a REST API, which differ in
// the version only. Source: API Gateway Developer Guide, "Input format of a Lambda function for
// proxy integration".
type eventV1 struct {
	Version            string              `json:"version,omitempty"`
	Type               string              `json:"type,omitempty"`
	MethodARN          string              `json:"methodArn,omitempty"`
	IdentitySource     *string             `json:"identitySource,omitempty"`
	AuthorizationToken *string             `json:"authorizationToken,omitempty"`
	Resource           string              `json:"resource"`
	Path               string              `json:"path"`
	HTTPMethod         string              `json:"httpMethod"`
	Headers            map[string]string   `json:"headers"`
	MultiHeaders       map[string][]string `json:"multiValueHeaders"`
	Query              map[string]string   `json:"queryStringParameters"`
	MultiQuery         map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters     map[string]string   `json:"pathParameters"`
	StageVariables     map[string]string   `json:"stageVariables"`
	Context            contextV1           `json:"requestContext"`
	*bodyV1
}

// bodyV1 is left out of an authorizer's event.
type bodyV1 struct {
	Body            *string `json:"body"`
	IsBase64Encoded bool    `json:"isBase64Encoded"`
}

type contextV1 struct {
	AccountID         string         `json:"accountId"`
	APIID             string         `json:"apiId"`
	Authorizer        map[string]any `json:"authorizer,omitempty"`
	DeploymentID      string         `json:"deploymentId,omitempty"`
	DomainName        string         `json:"domainName"`
	DomainPrefix      string         `json:"domainPrefix"`
	ExtendedRequestID string         `json:"extendedRequestId"`
	HTTPMethod        string         `json:"httpMethod"`
	Identity          identityV1     `json:"identity"`
	OperationName     string         `json:"operationName,omitempty"`
	Path              string         `json:"path"`
	Protocol          string         `json:"protocol"`
	RequestID         string         `json:"requestId"`
	RequestTime       string         `json:"requestTime"`
	RequestTimeEpoch  int64          `json:"requestTimeEpoch"` // milliseconds
	ResourceID        string         `json:"resourceId"`
	ResourcePath      string         `json:"resourcePath"`
	Stage             string         `json:"stage"`
}

type identityV1 struct {
	AccessKey                     *string `json:"accessKey"`
	AccountID                     *string `json:"accountId"`
	Caller                        *string `json:"caller"`
	CognitoAuthenticationProvider *string `json:"cognitoAuthenticationProvider"`
	CognitoAuthenticationType     *string `json:"cognitoAuthenticationType"`
	CognitoIdentityID             *string `json:"cognitoIdentityId"`
	CognitoIdentityPoolID         *string `json:"cognitoIdentityPoolId"`
	PrincipalOrgID                *string `json:"principalOrgId"`
	SourceIP                      string  `json:"sourceIp"`
	User                          *string `json:"user"`
	UserAgent                     *string `json:"userAgent"`
	UserARN                       *string `json:"userArn"`
}

func (x *exchange) eventV1() eventV1 {
	e := x.headV1()
	text, is64 := x.text()
	e.bodyV1 = &bodyV1{IsBase64Encoded: is64}
	if text != "" {
		e.Body = &text
	}
	e.Context.Authorizer = x.context.v1()
	return e
}

// headV1 is the event without its body and what the authorizer found.
func (x *exchange) headV1() eventV1 {
	resource := x.route.path
	if resource == "" {
		resource = x.route.key
	}
	resourceID := x.route.resourceID
	if !x.api.rest {
		resourceID = x.route.key
	}
	e := eventV1{Resource: resource, Path: x.path, HTTPMethod: x.r.Method, PathParameters: x.params, StageVariables: x.stage.variables,
		Context: contextV1{AccountID: x.api.account, APIID: x.api.id, DomainName: x.host, DomainPrefix: x.domainPrefix(),
			ExtendedRequestID: x.extended, HTTPMethod: x.r.Method, OperationName: x.route.operation, Path: x.fullPath(), Protocol: x.r.Proto,
			RequestID: x.id, RequestTime: x.now.UTC().Format(timeForm), RequestTimeEpoch: x.now.UnixMilli(),
			ResourceID: resourceID, ResourcePath: resource, Stage: x.stage.name, Identity: x.identityV1()}}
	if x.api.rest {
		e.Context.DeploymentID = x.stage.deployment
	}
	h := x.headers()
	e.Headers, e.MultiHeaders = make(map[string]string, len(h)), make(map[string][]string, len(h))
	for k, v := range h {
		e.Headers[k], e.MultiHeaders[k] = v[len(v)-1], v
	}
	e.Query, e.MultiQuery = x.lists()
	return e
}

func (x *exchange) identityV1() identityV1 {
	id := identityV1{SourceIP: x.source.Address(), UserAgent: optional(x.source.UserAgent)}
	if x.context.kind == "AWS_IAM" {
		p := x.context.caller
		id.AccessKey, id.AccountID, id.Caller = optional(p.AccessKeyID()), optional(p.Account()), optional(p.UserID())
		id.User, id.UserARN = optional(p.UserID()), optional(p.ARN())
	}
	return id
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a authContext) v1() map[string]any {
	switch a.kind {
	case "JWT":
		return map[string]any{"claims": a.claims, "scopes": a.scopes}
	case "CUSTOM":
		out := map[string]any{"principalId": a.principalID, "integrationLatency": a.latency}
		for k, v := range a.values {
			out[k] = v
		}
		return out
	}
	return nil
}
