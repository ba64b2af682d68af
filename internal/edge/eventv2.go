package edge

import (
	"encoding/json"
	"strings"

	"github.com/bastide-cloud/bastide/internal/identity"
)

// eventV2 is payload version 2.0; authorizers get it without a body and with their own members.
// Source: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs".
type eventV2 struct {
	Version         string            `json:"version"`
	Type            string            `json:"type,omitempty"`
	RouteARN        string            `json:"routeArn,omitempty"`
	IdentitySource  []string          `json:"identitySource,omitempty"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	Context         contextV2         `json:"requestContext"`
	Body            *string           `json:"body,omitempty"`
	PathParameters  map[string]string `json:"pathParameters,omitempty"`
	IsBase64Encoded *bool             `json:"isBase64Encoded,omitempty"`
	StageVariables  map[string]string `json:"stageVariables,omitempty"`
}

type contextV2 struct {
	AccountID string `json:"accountId"`
	APIID     string `json:"apiId"`
	// Authentication, of a client certificate, is null for a function URL's signed caller.
	Authentication json.RawMessage `json:"authentication,omitempty"`
	Authorizer     map[string]any  `json:"authorizer,omitempty"`
	DomainName     string          `json:"domainName"`
	DomainPrefix   string          `json:"domainPrefix"`
	HTTP           httpV2          `json:"http"`
	RequestID      string          `json:"requestId"`
	RouteKey       string          `json:"routeKey"`
	Stage          string          `json:"stage"`
	Time           string          `json:"time"`
	TimeEpoch      int64           `json:"timeEpoch"` // milliseconds
}

type httpV2 struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// iamV2 is a signed caller in payload 2.0.
type iamV2 struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"`
	PrincipalOrgID  *string `json:"principalOrgId"`
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

func (x *exchange) eventV2(authorizer bool) eventV2 {
	h := x.headers()
	e := eventV2{Version: "2.0", RouteKey: x.route.key, RawPath: x.fullPath(), RawQueryString: x.rawQuery, Cookies: cookies(h),
		Headers: make(map[string]string, len(h)), Query: x.joined(), PathParameters: x.params, StageVariables: x.stage.variables,
		Context: contextV2{AccountID: x.api.account, APIID: x.api.id, DomainName: x.host, DomainPrefix: x.domainPrefix(),
			HTTP:      httpV2{x.r.Method, x.fullPath(), x.r.Proto, x.source.Address(), x.source.UserAgent},
			RequestID: x.id, RouteKey: x.route.key, Stage: x.stage.name, Time: x.now.UTC().Format(timeForm), TimeEpoch: x.now.UnixMilli()}}
	for k, v := range h {
		if k != "Cookie" {
			e.Headers[strings.ToLower(k)] = strings.Join(v, ",")
		}
	}
	if authorizer {
		return e
	}
	e.Context.Authorizer = x.context.v2()
	if x.url && x.context.kind == "AWS_IAM" {
		e.Context.Authentication = json.RawMessage("null")
	}
	text, is64 := x.text()
	e.IsBase64Encoded = &is64
	if text != "" {
		e.Body = &text
	}
	return e
}

// authContext is what the authorizer found out, for the function.
type authContext struct {
	kind        string // NONE, AWS_IAM, JWT, CUSTOM
	claims      map[string]string
	scopes      []string
	principalID string
	values      map[string]any // of a Lambda authorizer
	caller      identity.Principal
	latency     int64 // milliseconds that the authorizer took
}

func (a authContext) v2() map[string]any {
	switch a.kind {
	case "JWT":
		return map[string]any{"jwt": map[string]any{"claims": a.claims, "scopes": a.scopes}}
	case "CUSTOM":
		return map[string]any{"lambda": a.values}
	case "AWS_IAM":
		p := a.caller
		return map[string]any{"iam": iamV2{AccessKey: p.AccessKeyID(), AccountID: p.Account(), CallerID: p.UserID(), UserARN: p.ARN(), UserID: p.UserID()}}
	}
	return nil
}
