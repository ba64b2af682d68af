package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// appendJSON appends the record as json.Marshal would write it, byte for byte: a call of any kind
// writes one, and reflection over thirty members was half of what that cost.
func (r *Record) appendJSON(b []byte) ([]byte, error) {
	e := encoder{b: append(b, '{')}
	e.string("eventVersion", r.EventVersion, true)
	e.name("userIdentity")
	e.identity(&r.UserIdentity)
	e.name("eventTime")
	e.time(r.EventTime)
	e.string("requestID", r.RequestID, true)
	e.string("eventSource", r.EventSource, true)
	e.string("eventName", r.EventName, true)
	e.string("awsRegion", r.AWSRegion, true)
	e.string("sourceIPAddress", r.SourceIPAddress, true)
	e.string("userAgent", r.UserAgent, false)
	e.string("errorCode", r.ErrorCode, false)
	e.string("errorMessage", r.ErrorMessage, false)
	e.raw("requestParameters", r.RequestParameters)
	e.raw("responseElements", r.ResponseElements)
	if len(r.Additional) > 0 {
		e.any("additionalEventData", r.Additional)
	}
	e.string("eventID", r.EventID, true)
	e.bool("readOnly", r.ReadOnly)
	e.resources(r.Resources)
	e.string("eventType", r.EventType, true)
	e.string("apiVersion", r.APIVersion, false)
	e.bool("managementEvent", r.ManagementEvent)
	e.string("recipientAccountId", r.RecipientAccountID, false)
	e.string("sharedEventID", r.SharedEventID, false)
	e.string("eventCategory", r.EventCategory, true)
	if r.TLSDetails != nil {
		e.any("tlsDetails", r.TLSDetails)
	}
	return append(e.b, '}'), e.err
}

// encoder appends the members of an object; its first error stays.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) name(name string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(append(append(e.b, '"'), name...), '"', ':')
}

// string leaves an empty member out unless it is always there.
func (e *encoder) string(name, s string, always bool) {
	if s == "" && !always {
		return
	}
	e.name(name)
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			e.value(s) // what must be escaped, or may not be UTF-8
			return
		}
	}
	e.b = append(append(append(e.b, '"'), s...), '"')
}

func (e *encoder) bool(name string, v bool) {
	e.name(name)
	e.b = strconv.AppendBool(e.b, v)
}

func (e *encoder) time(t time.Time) {
	if y := t.Year(); t.Location() != time.UTC || y < 0 || y > 9999 {
		e.value(t) // it refuses what RFC 3339 cannot say
		return
	}
	e.b = append(t.AppendFormat(append(e.b, '"'), time.RFC3339Nano), '"')
}

// raw is JSON that came from elsewhere: it is checked, so that it cannot break the record.
func (e *encoder) raw(name string, raw json.RawMessage) {
	e.name(name)
	if raw == nil {
		e.b = append(e.b, "null"...)
		return
	}
	if bytes.ContainsAny(raw, "<>&\xe2") { // these, and U+2028 and U+2029, are escaped
		e.value(raw)
		return
	}
	w := bytes.NewBuffer(e.b)
	if err := json.Compact(w, raw); err != nil {
		e.value(raw) // for its error
		return
	}
	e.b = w.Bytes()
}

func (e *encoder) any(name string, v any) {
	e.name(name)
	e.value(v)
}

func (e *encoder) value(v any) {
	raw, err := json.Marshal(v)
	if e.err == nil {
		e.err = err
	}
	e.b = append(e.b, raw...)
}

func (e *encoder) identity(u *UserIdentity) {
	e.b = append(e.b, '{')
	e.string("type", u.Type, true)
	e.string("principalId", u.PrincipalID, false)
	e.string("arn", u.ARN, false)
	e.string("accountId", u.AccountID, false)
	e.string("accessKeyId", u.AccessKeyID, false)
	e.string("userName", u.UserName, false)
	if u.SessionContext != nil {
		e.any("sessionContext", u.SessionContext)
	}
	e.string("invokedBy", u.InvokedBy, false)
	e.string("identityProvider", u.IdentityProv, false)
	e.b = append(e.b, '}')
}

func (e *encoder) resources(list []Resource) {
	if len(list) == 0 {
		return
	}
	e.name("resources")
	e.b = append(e.b, '[')
	for i, r := range list {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = append(e.b, '{')
		e.string("ARN", r.ARN, false)
		e.string("accountId", r.AccountID, false)
		e.string("type", r.Type, false)
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, ']')
}
