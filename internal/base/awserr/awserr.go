// Package awserr is the one error that a caller can receive: a kind, which decides how each
// protocol words it, or a modelled code of the service's own, with its message.
//
//	return awserr.New("ResourceNotFoundException", 400, "Requested resource not found")
//	return awserr.Of(awserr.AccessDenied, "User: %s is not authorized to perform: %s", who, action)
//
// Codes and messages are worded as AWS words them, because clients parse them.
package awserr

import (
	"errors"
	"fmt"
)

// Kind is a failure that every service has and that each protocol names in its own way; package
// wire holds the one table from kind to code and status.
type Kind int

// The kinds. Modelled means that Code and Status are the service's own.
const (
	Modelled Kind = iota
	AccessDenied
	MissingAuthenticationToken
	IncompleteSignature
	SignatureDoesNotMatch
	SignatureExpired // signed too long ago, or clock skewed
	UnknownAccessKey // UnrecognizedClientException, InvalidClientTokenId, InvalidAccessKeyId
	ExpiredToken     // session token past its end
	InvalidToken     // session token that is not one
	Validation       // the input breaks the operation's model
	Malformed        // bytes that do not parse at all
	UnknownOperation // no such operation in AWS's model
	NotImplemented   // AWS has it, Bastide has not built it
	Throttled
	RequestTooLarge
	Internal
)

// Error is a refusal or failure in a form that a wire protocol can encode.
type Error struct {
	Kind    Kind
	Code    string // for Modelled; otherwise the protocol's table decides
	Status  int    // for Modelled
	Message string
	// Fields are members of the modelled error shape beyond the message, by wire name
	// (CancellationReasons, Item, RetryAfterSeconds); values must be encodable by the protocol.
	Fields map[string]any
	// Header are headers of the answer (S3's ETag beside a 304), in any case.
	Header map[string]string
	// Cause is for the log only and never leaves the process.
	Cause error
}

func (e *Error) Error() string {
	code := e.Code
	if code == "" {
		code = e.Kind.String()
	}
	if e.Cause != nil {
		return code + ": " + e.Message + ": " + e.Cause.Error()
	}
	return code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// New makes a modelled error: the service's own code with its HTTP status.
func New(code string, status int, format string, args ...any) *Error {
	return &Error{Code: code, Status: status, Message: text(format, args)}
}

// Of makes an error of a kind that each protocol words in its own way.
func Of(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: text(format, args)}
}

// Wrap hides err behind an internal error: the caller sees that it failed, the log sees why.
func Wrap(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Message: "We encountered an internal error. Please try again.", Cause: err}
}

// Is reports whether err carries code, so that a caller of a typed client can branch on it.
func Is(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

func text(format string, args []any) string {
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

var kindNames = [...]string{"Modelled", "AccessDenied", "MissingAuthenticationToken", "IncompleteSignature",
	"SignatureDoesNotMatch", "SignatureExpired", "UnknownAccessKey", "ExpiredToken", "InvalidToken", "Validation",
	"Malformed", "UnknownOperation", "NotImplemented", "Throttled", "RequestTooLarge", "Internal"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Internal"
}
