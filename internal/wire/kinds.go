package wire

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// family is a group of services that word failures alike.
type family int

const (
	jsonFamily family = iota
	queryFamily
	restFamily
	s3Family
)

// wording is a failure's code and HTTP status in one family.
type wording struct {
	code   string
	status int
}

// kinds is the one table from kind to code and status, in the order of the families. Sources: each
// service's "Common Errors" page and answers of the services to unmodified clients.
var kinds = map[awserr.Kind][4]wording{
	awserr.AccessDenied:               {{"AccessDeniedException", 400}, {"AccessDenied", 403}, {"AccessDeniedException", 403}, {"AccessDenied", 403}},
	awserr.MissingAuthenticationToken: {{"MissingAuthenticationTokenException", 400}, {"MissingAuthenticationToken", 403}, {"MissingAuthenticationTokenException", 403}, {"AccessDenied", 403}},
	awserr.IncompleteSignature:        {{"IncompleteSignatureException", 400}, {"IncompleteSignature", 400}, {"IncompleteSignatureException", 403}, {"AuthorizationHeaderMalformed", 400}},
	awserr.SignatureDoesNotMatch:      {{"InvalidSignatureException", 400}, {"SignatureDoesNotMatch", 403}, {"InvalidSignatureException", 403}, {"SignatureDoesNotMatch", 403}},
	awserr.SignatureExpired:           {{"InvalidSignatureException", 400}, {"SignatureDoesNotMatch", 403}, {"InvalidSignatureException", 403}, {"RequestTimeTooSkewed", 403}},
	awserr.UnknownAccessKey:           {{"UnrecognizedClientException", 400}, {"InvalidClientTokenId", 403}, {"UnrecognizedClientException", 403}, {"InvalidAccessKeyId", 403}},
	awserr.ExpiredToken:               {{"ExpiredTokenException", 400}, {"ExpiredToken", 403}, {"ExpiredTokenException", 403}, {"ExpiredToken", 400}},
	awserr.InvalidToken:               {{"UnrecognizedClientException", 400}, {"InvalidClientTokenId", 403}, {"UnrecognizedClientException", 403}, {"InvalidToken", 400}},
	awserr.Validation:                 {{"ValidationException", 400}, {"ValidationError", 400}, {"ValidationException", 400}, {"InvalidArgument", 400}},
	awserr.Malformed:                  {{"SerializationException", 400}, {"MalformedInput", 400}, {"SerializationException", 400}, {"MalformedXML", 400}},
	awserr.UnknownOperation:           {{"UnknownOperationException", 400}, {"InvalidAction", 400}, {"UnknownOperationException", 404}, {"MethodNotAllowed", 405}},
	awserr.NotImplemented:             {{"NotImplemented", 501}, {"NotImplemented", 501}, {"NotImplemented", 501}, {"NotImplemented", 501}},
	awserr.Throttled:                  {{"ThrottlingException", 400}, {"Throttling", 400}, {"TooManyRequestsException", 429}, {"SlowDown", 503}},
	awserr.RequestTooLarge:            {{"RequestEntityTooLargeException", 413}, {"RequestEntityTooLarge", 413}, {"RequestEntityTooLargeException", 413}, {"EntityTooLarge", 400}},
	awserr.Internal:                   {{"InternalServerError", 500}, {"InternalFailure", 500}, {"InternalFailure", 500}, {"InternalError", 500}},
}

// quirks are the codes in which one service differs from its family.
var quirks = map[string]map[awserr.Kind]wording{
	"logs": {awserr.Validation: {"InvalidParameterException", 400}, awserr.Internal: {"ServiceUnavailableException", 500}},
	"lambda": {awserr.Malformed: {"InvalidRequestContentException", 400}, awserr.Internal: {"ServiceException", 500},
		awserr.RequestTooLarge: {"RequestTooLargeException", 413}},
	"ec2": {awserr.AccessDenied: {"UnauthorizedOperation", 403}, awserr.UnknownAccessKey: {"AuthFailure", 401}, awserr.Validation: {"InvalidParameterValue", 400},
		awserr.Throttled: {"RequestLimitExceeded", 503}, awserr.Internal: {"InternalError", 500}},
	"apigateway":   {awserr.Validation: {"BadRequestException", 400}},
	"apigatewayv2": {awserr.Validation: {"BadRequestException", 400}},
}

func (s *Service) family() family {
	switch {
	case s == nil:
		return restFamily
	case s.isQuery():
		return queryFamily
	case s.Protocol == RestXML:
		return s3Family
	case s.Protocol == RestJSON:
		return restFamily
	}
	return jsonFamily
}

// word gives an error its code and status as the service (nil: one that we do not have) says it.
func (s *Service) word(op *Operation, e *awserr.Error) wording {
	if e.Kind == awserr.Modelled {
		w := wording{e.Code, e.Status}
		if w.status == 0 {
			w.status = op.statusOf(e.Code)
		}
		return w
	}
	if s != nil {
		if w, ok := quirks[s.ID][e.Kind]; ok {
			return w
		}
		if s.ID == "s3" && e.Kind == awserr.SignatureExpired && strings.HasPrefix(e.Message, "Request has expired") {
			return wording{"AccessDenied", http.StatusForbidden} // a presigned URL past its end
		}
	}
	w, ok := kinds[e.Kind]
	if !ok {
		w = kinds[awserr.Internal]
	}
	return w[s.family()]
}

// statusOf is the status that the model gives a code; 400 where it gives none.
func (op *Operation) statusOf(code string) int {
	if op != nil {
		if i := slices.IndexFunc(op.Errors, func(e ErrorShape) bool { return e.Code == code || e.Name == code }); i >= 0 {
			return op.Errors[i].Status
		}
	}
	return http.StatusBadRequest
}

// invalid words broken constraints as the service does; nil when there are none.
func (s *Service) invalid(vs []plan.Violation) error {
	if s.ID == "s3" { // S3 checks names and enumerations in its own words, one by one
		vs = slices.DeleteFunc(vs, func(v plan.Violation) bool { return !v.Null })
	}
	if len(vs) == 0 {
		return nil
	}
	if s.ID == "s3" && strings.Contains(vs[0].Path, ".") { // inside a document
		return awserr.Of(awserr.Malformed, "The XML you provided was not well-formed or did not validate against our published schema")
	}
	if s.ID == "s3" {
		return awserr.Of(awserr.Validation, "The request is missing %s.", vs[0].Path)
	}
	if s.ID == "lambda" && vs[0].Path == "runtime" {
		return awserr.New("InvalidParameterValueException", http.StatusBadRequest, "%s",
			"Value "+vs[0].Value+" at 'runtime' failed to satisfy constraint: "+vs[0].Constraint+" or be a valid ARN")
	}
	return awserr.Of(awserr.Validation, "%s", plan.Message(vs))
}

// malformed is a body that the protocol cannot read.
func malformed(svc *Service, err error) error {
	message := err.Error()
	_, bound := errors.AsType[*boundError](err)
	switch {
	case bound && (svc.ID == "s3" || svc.ID == "lambda"):
		return awserr.Of(awserr.Validation, "%s", message)
	case svc.ID == "s3":
		message = "The XML you provided was not well-formed or did not validate against our published schema"
	case svc.ID == "lambda":
		message = "Could not parse request body into json: " + message
	}
	e := awserr.Of(awserr.Malformed, "%s", message)
	e.Cause = err
	return e
}
