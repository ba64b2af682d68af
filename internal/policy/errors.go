package policy

import (
	"fmt"
	"strings"
)

// Error is a refused document. Message is worded as IAM words a MalformedPolicyDocument, because
// clients match on it; Detail says what is wrong and Line and Column (from 1, in bytes) where.
type Error struct {
	Message string
	Detail  string
	Line    int
	Column  int
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s (line %d, column %d)", e.Message, e.Line, e.Column)
	}
	return fmt.Sprintf("%s (line %d, column %d: %s)", e.Message, e.Line, e.Column, e.Detail)
}

// IAM's own words for a MalformedPolicyDocument.
const (
	msgSyntax       = "Syntax errors in policy."
	msgVersion      = "Policy document must be version 2012-10-17 or greater."
	msgNoActions    = "Policy statement must contain actions."
	msgNoResources  = "Policy statement must contain resources."
	msgSidUnique    = "Statement IDs (SID) in a single policy must be unique."
	msgSidShape     = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
	msgVendor       = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	msgOneColon     = "Actions/Condition can contain only one colon."
	msgTrustActions = "AssumeRole policy may only specify STS AssumeRole actions."
	msgTooLong      = "Policy document exceeds the maximum length."
)

// fault is an error at a byte offset, before the offset is turned into line and column.
type fault struct {
	at      int
	message string // msgSyntax when empty
	detail  string
}

func (f *fault) in(src string) *Error {
	at := min(f.at, len(src))
	line := 1 + strings.Count(src[:at], "\n")
	msg := f.message
	if msg == "" {
		msg = msgSyntax
	}
	return &Error{Message: msg, Detail: f.detail, Line: line, Column: at - strings.LastIndexByte(src[:at], '\n')}
}

func faultAt(at int, message, detail string, args ...any) *fault {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &fault{at: at, message: message, detail: detail}
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

var _ error = (*Error)(nil)
