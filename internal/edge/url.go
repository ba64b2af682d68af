package edge

import (
	"context"
	"slices"
	"strings"
	"time"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
)

// FunctionURL is the address of a function or alias, with what decides who may call it.
type FunctionURL struct {
	ID, Account, Region string
	FunctionARN         string // with the alias that the URL belongs to
	AuthType            string // AWS_IAM or NONE
	InvokeMode          string // BUFFERED or RESPONSE_STREAM
	Cors                *lambda.Cors
	Policy              string // resource policy of the function or alias; "" for none
	Tags                map[string]string
}

// URLs is the function URLs that there are; service/lambda has one.
type URLs interface {
	// URL is one by its id; nil where there is none.
	URL(ctx context.Context, id string) (*FunctionURL, error)
	// URLs are the ids of all.
	URLs(ctx context.Context) ([]string, error)
}

// Limits of a function URL: its event may be as large as any invocation's, and it waits for as long
// as a function may run. Source: AWS Lambda Developer Guide, "Lambda quotas".
const (
	maxURLBody = 6 << 20
	urlTimeout = 15*time.Minute + 30*time.Second
)

// findURL is a function URL as an API of one stage and one route.
func (e *Edge) findURL(ctx context.Context, id string) (*api, error) {
	u, err := e.URLs.URL(ctx, id)
	if err != nil || u == nil {
		return nil, err
	}
	a := &api{id: u.ID, account: u.Account, region: u.Region, url: u, stages: map[string]*stage{}}
	st := &stage{api: a, name: defaultStage, cors: newCors(corsOfURL(u.Cors)), stack: u.Tags[stackTag], policy: u.Policy}
	if st.cors != nil {
		st.cors.beside = true
	}
	st.routes = []*route{{stage: st, key: defaultStage, kind: u.AuthType, integration: integration{function: u.FunctionARN, payload: payloadURL, timeout: urlTimeout, streams: u.InvokeMode == streaming}}}
	a.stages[st.name] = st
	return a, nil
}

// corsOfURL is a URL's CORS configuration in an HTTP API's words. A pattern among its origins, which
// an HTTP API would follow, matches no origin of a URL.
func corsOfURL(c *lambda.Cors) *v2.Cors {
	if c == nil {
		return nil
	}
	patterns := func(o string) bool { return o != "*" && strings.Contains(o, "*") }
	return &v2.Cors{AllowCredentials: c.AllowCredentials, AllowHeaders: c.AllowHeaders, AllowMethods: c.AllowMethods, ExposeHeaders: c.ExposeHeaders,
		MaxAge: c.MaxAge, AllowOrigins: slices.DeleteFunc(slices.Clone(c.AllowOrigins), patterns)}
}

// urlNeeds are what a function URL wants of its caller, signed or nobody: to call the URL, and to
// invoke the function through it. Source: AWS Lambda Developer Guide, "Control access to Lambda
// function URLs" (both since October 2025).
func (x *exchange) urlNeeds(a *gate.Ask) ([]gate.Need, error) {
	u := x.api.url
	n := gate.Need{Action: "lambda:InvokeFunctionUrl", Resource: u.FunctionARN, Account: u.Account, Lazy: gate.ResourceTags(u.Tags),
		Keys: map[string][]string{"lambda:FunctionUrlAuthType": {u.AuthType}, "lambda:FunctionArn": {u.FunctionARN}}}
	if u.Policy != "" {
		p, err := a.Policy(policy.Resource, u.Policy)
		if err != nil {
			return nil, err
		}
		n.Policy = &policy.Attached{Policy: p, Name: "default", ARN: u.FunctionARN, Where: "resource policy of function " + functionName(u.FunctionARN)}
	}
	invoke := n
	invoke.Action = "lambda:InvokeFunction"
	invoke.Keys = viaURL
	return []gate.Need{n, invoke}, nil
}

// viaURL says of an invocation that it came through a function's URL. Only the door can say so.
var viaURL = map[string][]string{"lambda:InvokedViaFunctionUrl": {"true"}}

// functionName is a function's name with its alias.
func functionName(arn string) string {
	_, name, _ := strings.Cut(arn, ":function:")
	return name
}
