package edge

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// reason is why a request was not served.
type reason string

const (
	forbidden        reason = "Forbidden"
	disabled         reason = "EndpointDisabled"
	notFound         reason = "NotFound"
	missingToken     reason = "MissingAuthenticationToken"
	unauthorized     reason = "Unauthorized"
	denied           reason = "AccessDenied"
	onlyLocal        reason = "NotAcknowledged"
	badRequest       reason = "BadRequest"
	tooLarge         reason = "RequestTooLarge"
	headTooLarge     reason = "HeaderTooLarge"
	throttled        reason = "TooManyRequests"
	internal         reason = "InternalError"
	malformed        reason = "MalformedResponse"
	failure          reason = "FunctionError"
	timedOut         reason = "IntegrationTimeout"
	unavailable      reason = "ServiceUnavailable"
	serverLate       reason = "EndpointTimeout"
	serverFailed     reason = "EndpointFailed"
	unsupported      reason = "UnsupportedMediaType"
	authorizerFailed reason = "AuthorizerFailure"
)

// refusal is a request that was not served; as an error it ends the walk.
type refusal struct {
	reason  reason
	message string // in place of the reason's own
	code    string // in place of the wording's, of a function URL
	header  http.Header
	why     error // for the log
	counted bool  // the trail has it
}

func (r refusal) Error() string {
	if r.why != nil {
		return string(r.reason) + ": " + r.why.Error()
	}
	return string(r.reason)
}

type wording struct {
	status             int
	message, errorType string
}

// httpWords and restWords are how each kind of API words a reason. Source: API Gateway Developer
// Guide, "Gateway response types", and answers of the service.
var httpWords = map[reason]wording{
	forbidden:        {403, "Forbidden", ""},
	disabled:         {404, "Not Found", ""},
	notFound:         {404, "Not Found", ""},
	missingToken:     {403, "Forbidden", ""},
	unauthorized:     {401, "Unauthorized", ""},
	denied:           {403, "Forbidden", ""},
	onlyLocal:        {403, "Forbidden", ""},
	badRequest:       {400, "Bad Request", ""},
	tooLarge:         {413, "Request Entity Too Large", ""},
	headTooLarge:     {431, "Request Header Fields Too Large", ""},
	throttled:        {429, "Too Many Requests", ""},
	internal:         {500, "Internal Server Error", ""},
	malformed:        {500, "Internal Server Error", ""},
	failure:          {500, "Internal Server Error", ""},
	timedOut:         {503, "Service Unavailable", ""},
	unavailable:      {503, "Service Unavailable", ""},
	serverLate:       {504, "Gateway Timeout", ""},
	serverFailed:     {503, "Service Unavailable", ""},
	unsupported:      {415, "Unsupported Media Type", ""},
	authorizerFailed: {500, "Internal Server Error", ""},
}

var restWords = map[reason]wording{
	forbidden:        {403, "Forbidden", "ForbiddenException"},
	disabled:         {403, "Forbidden", "ForbiddenException"},
	notFound:         {403, "Missing Authentication Token", "MissingAuthenticationTokenException"},
	missingToken:     {403, "Missing Authentication Token", "MissingAuthenticationTokenException"},
	unauthorized:     {401, "Unauthorized", "UnauthorizedException"},
	denied:           {403, "User is not authorized to access this resource", "AccessDeniedException"},
	onlyLocal:        {403, "Forbidden", "ForbiddenException"},
	badRequest:       {400, "Bad Request", "BadRequestException"},
	tooLarge:         {413, "HTTP content length exceeded 10485760 bytes.", "RequestTooLargeException"},
	headTooLarge:     {431, "Request Header Fields Too Large", "RequestTooLargeException"},
	throttled:        {429, "Too Many Requests", "TooManyRequestsException"},
	internal:         {500, "Internal server error", "InternalServerErrorException"},
	malformed:        {502, "Internal server error", "InternalServerErrorException"},
	failure:          {502, "Internal server error", "InternalServerErrorException"},
	timedOut:         {504, "Endpoint request timed out", "InternalServerErrorException"},
	unavailable:      {500, "Internal server error", "InternalServerErrorException"},
	serverLate:       {504, "Endpoint request timed out", "InternalServerErrorException"},
	serverFailed:     {504, "Network error communicating with endpoint", "InternalServerErrorException"},
	unsupported:      {415, "Unsupported Media Type", "UnsupportedMediaTypeException"},
	authorizerFailed: {500, "", "AuthorizerConfigurationException"},
}

// urlForbidden tells a caller of a function URL nothing of what there is, as Lambda does.
const urlForbidden = "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"

// urlWords are how function URLs word a reason. Source: AWS Lambda Developer Guide, "Control access to
// Lambda function URLs", and answers of the service.
var urlWords = map[reason]wording{
	forbidden:    {403, urlForbidden, "AccessDeniedException"},
	notFound:     {403, urlForbidden, "AccessDeniedException"},
	missingToken: {403, urlForbidden, "AccessDeniedException"},
	denied:       {403, urlForbidden, "AccessDeniedException"},
	onlyLocal:    {403, urlForbidden, "AccessDeniedException"},
	badRequest:   {400, "Bad Request", "BadRequestException"},
	tooLarge:     {413, "Request must be smaller than 6291456 bytes for the InvokeFunction operation", "RequestTooLargeException"},
	headTooLarge: {431, "Request Header Fields Too Large", "RequestTooLargeException"},
	throttled:    {429, "Rate Exceeded.", "TooManyRequestsException"},
	unavailable:  {429, "Rate Exceeded.", "TooManyRequestsException"},
	internal:     {500, "Internal Server Error", ""},
	malformed:    {502, "Internal Server Error", ""},
	failure:      {502, "Internal Server Error", ""},
	timedOut:     {504, "Internal Server Error", ""},
}

func (x *exchange) words() map[reason]wording {
	switch {
	case x.url:
		return urlWords
	case x.api != nil && x.api.rest:
		return restWords
	}
	return httpWords
}

// wordedURL is the answer for a refusal of a function URL.
func (x *exchange) wordedURL(r refusal) *response {
	w := urlWords[r.reason]
	out := &response{status: w.status, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(w.message)}
	if w.errorType == "" {
		return out // a bare text, as Lambda has it
	}
	body := map[string]any{}
	switch {
	case r.code != "":
		w.errorType, body["message"] = r.code, r.message
	case w.status == http.StatusTooManyRequests:
		body["Type"], body["message"] = "User", w.message
		for err := r.why; err != nil; err = errors.Unwrap(err) {
			if e, ok := err.(*awserr.Error); ok && e.Fields["Reason"] != nil {
				body["Reason"] = e.Fields["Reason"]
			}
		}
	case r.reason == onlyLocal:
		body["Message"] = r.message
	default:
		body["Message"] = w.message
	}
	out.header.Set("X-Amzn-Errortype", w.errorType)
	out.body, _ = json.Marshal(body) // texts always encode
	return out
}

// worded is the answer for a refusal, as the API's kind words it.
func (x *exchange) worded(r refusal) *response {
	if x.url {
		return x.wordedURL(r)
	}
	out := &response{header: http.Header{"Content-Type": {"application/json"}}}
	w := x.words()[r.reason]
	out.status = w.status
	message, key := w.message, "message"
	if r.message != "" && (r.reason != denied || x.api.rest) { // an HTTP API tells no more than Forbidden
		message = r.message
	}
	if w.errorType != "" {
		out.header.Set("X-Amzn-Errortype", w.errorType)
		if r.reason == denied {
			key = "Message" // as the service has it
			message = maskAccount(message, x.api.account)
		}
	}
	for k, v := range r.header {
		out.header[k] = v
	}
	if message == "" {
		out.body = []byte(`{"` + key + `":null}`)
		return out
	}
	text, _ := json.Marshal(message) // a string always encodes
	out.body = []byte(`{"` + key + `":` + string(text) + `}`)
	return out
}

// maskAccount hides all but the last four digits of the API's account in a resource's name.
func maskAccount(message, account string) string {
	if len(account) != 12 {
		return message
	}
	return strings.ReplaceAll(message, ":"+account+":", ":********"+account[8:]+":")
}
