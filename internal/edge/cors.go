package edge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// cors is the CORS configuration of an HTTP API or function URL: the edge answers preflights itself. Its
// headers replace those of an HTTP API's function and stand beside those of a function URL's, so that
// browsers refuse here what they refuse on AWS. Source: API Gateway Developer Guide, "Configure CORS for HTTP
// APIs", and AWS Lambda Developer Guide, "Creating and managing Lambda function URLs".
type cors struct {
	beside                   bool
	origins                  []string
	methods, headers, expose string
	maxAge                   string
	credentials              bool
}

func newCors(c *v2.Cors) *cors {
	if c == nil {
		return nil
	}
	out := &cors{methods: strings.Join(c.AllowMethods, ","), headers: strings.Join(c.AllowHeaders, ","),
		expose: strings.Join(c.ExposeHeaders, ","), credentials: wire.Val(c.AllowCredentials)}
	for _, o := range c.AllowOrigins {
		out.origins = append(out.origins, strings.ToLower(o))
	}
	if c.MaxAge != nil {
		out.maxAge = strconv.Itoa(int(*c.MaxAge))
	}
	return out
}

// allowed is the access-control-allow-origin for an origin; "" where it is not allowed.
func (c *cors) allowed(origin string) string {
	if c == nil || origin == "" {
		return ""
	}
	if slices.Contains(c.origins, "*") {
		if c.credentials {
			return "" // never any origin with a user's credentials
		}
		return "*"
	}
	low := strings.ToLower(origin)
	scheme, _, _ := strings.Cut(low, "://")
	if slices.Contains(c.origins, low) || !c.credentials && slices.Contains(c.origins, scheme+"://*") {
		return origin
	}
	return ""
}

// preflight answers an OPTIONS request that asks for leave, before any authorizer. An API without
// CORS passes it on to its routes.
func (x *exchange) preflight() *response {
	c := x.stage.cors
	if c == nil || x.r.Method != http.MethodOptions || x.r.Header.Get("Origin") == "" || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return nil
	}
	out := &response{status: http.StatusNoContent, header: http.Header{}, cors: true}
	if x.url {
		out.status = http.StatusOK
	}
	c.apply(out.header, x.r.Header.Get("Origin"))
	if out.header.Get("Access-Control-Allow-Origin") == "" {
		return out
	}
	for k, v := range map[string]string{"Methods": c.methods, "Headers": c.headers} {
		if v != "" {
			out.header.Set("Access-Control-Allow-"+k, v)
		}
	}
	if c.maxAge != "" {
		out.header.Set("Access-Control-Max-Age", c.maxAge)
	}
	return out
}

// apply puts the headers that every answer of a configured API has in place of the function's, or beside
// them.
func (c *cors) apply(h http.Header, origin string) {
	if c == nil {
		return
	}
	for k := range h {
		if strings.HasPrefix(k, "Access-Control-") && !c.beside {
			h.Del(k)
		}
	}
	h.Add("Vary", "Origin")
	allowed := c.allowed(origin)
	if allowed == "" {
		return
	}
	h.Add("Access-Control-Allow-Origin", allowed)
	if c.credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
	if c.expose != "" {
		h.Add("Access-Control-Expose-Headers", c.expose)
	}
}
