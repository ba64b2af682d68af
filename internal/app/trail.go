package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// AuditQuery selects records of the trail.
type AuditQuery struct {
	Principal, Event, Source, Code, Request, Resource string
	Denied                                            bool
	Since                                             time.Duration
	Max                                               int
}

// record is what the commands show of an audit record.
type record struct {
	EventTime    time.Time `json:"eventTime"`
	EventSource  string    `json:"eventSource"`
	EventName    string    `json:"eventName"`
	ErrorCode    string    `json:"errorCode"`
	ErrorMessage string    `json:"errorMessage"`
	RequestID    string    `json:"requestID"`
	SourceIP     string    `json:"sourceIPAddress"`
	UserIdentity struct {
		Type        string `json:"type"`
		ARN         string `json:"arn"`
		PrincipalID string `json:"principalId"`
		InvokedBy   string `json:"invokedBy"`
	} `json:"userIdentity"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
	Parameters struct {
		Method string `json:"httpMethod"`
		Path   string `json:"path"`
	} `json:"-"` // of an application's call; other calls' parameters are of any shape
	More struct {
		Phase string `json:"bastidePhase"`
	} `json:"additionalEventData"`
}

// readRecord reads a record as the trail writes it.
func readRecord(raw string) (record, error) {
	var r record
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		return r, err
	}
	if r.EventSource != applications && r.EventName != urlCall {
		return r, nil
	}
	var in struct{ RequestParameters json.RawMessage }
	err := json.Unmarshal([]byte(raw), &in)
	if err == nil && len(in.RequestParameters) > 0 {
		err = json.Unmarshal(in.RequestParameters, &r.Parameters)
	}
	return r, err
}

// applications is the source of applications' own calls.
const applications = "execute-api.amazonaws.com"

// urlCall is the event of a call of a function URL.
const urlCall = "InvokeFunctionUrl"

// inner tells whether a record is of what services do among themselves for a call that is shown, or
// says that a call has begun whose end is shown.
func (r record) inner() bool {
	by := r.UserIdentity.InvokedBy
	switch {
	case r.denied():
		return false
	case r.More.Phase == "admitted", r.EventSource == "logs.amazonaws.com", by == "cloudformation.amazonaws.com":
		return true
	case by == "lambda.amazonaws.com", by == "apigateway.amazonaws.com":
		return r.EventName == "AssumeRole" || r.EventName == "Invoke"
	}
	return false
}

// who is the caller by its name; one of an application as its authorizer called it.
func (r record) who() string {
	switch u := r.UserIdentity; {
	case u.ARN != "":
		return u.ARN
	case u.InvokedBy != "":
		return u.InvokedBy
	case u.Type == "Authorized" && u.PrincipalID != "":
		return u.PrincipalID + " (as the authorizer says), " + r.SourceIP
	case u.Type == "Authorized":
		return "somebody whom the authorizer let in, " + r.SourceIP
	}
	return "anonymous, " + r.SourceIP
}

// line is a record on one line of a terminal.
func (r record) line(t Terminal) string {
	who := r.who()
	mark := t.paint(green, "allowed")
	switch {
	case r.denied():
		mark = t.paint(red, "refused")
	case r.ErrorCode != "":
		mark = t.paint(yellow, "failed ")
	}
	service, _, _ := strings.Cut(r.EventSource, ".")
	what := service + ":" + r.EventName
	if r.Parameters.Path != "" {
		what = r.Parameters.Method + " " + r.Parameters.Path
	}
	s := fmt.Sprintf("%s %s %s by %s", t.paint(faint, r.EventTime.Local().Format("15:04:05")), mark, plain(what), plain(shortARN(who)))
	if len(r.Resources) > 0 {
		s += " on " + plain(shortARN(r.Resources[0].ARN))
	}
	if r.ErrorCode != "" {
		s += " " + t.paint(faint, r.RequestID)
	}
	return s
}

func (r record) denied() bool { return strings.HasPrefix(r.ErrorCode, "AccessDenied") }

func (r record) outcome() string {
	if r.ErrorCode == "" {
		return "it was allowed"
	}
	return r.ErrorCode + ": " + r.ErrorMessage
}

// shortARN leaves out what every name has.
func shortARN(s string) string {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 {
		return s
	}
	return parts[2] + ":" + parts[5]
}

type auditPage struct {
	Records []struct{ EventId, RequestId, Record string }
	After   string
}

func (r *Remote) auditPage(ctx context.Context, q AuditQuery, after string, max int, newest bool) (auditPage, error) {
	v := url.Values{}
	for k, s := range map[string]string{"principal": q.Principal, "eventName": q.Event, "eventSource": q.Source,
		"errorCode": q.Code, "requestId": q.Request, "resource": q.Resource, "after": after} {
		if s != "" {
			v.Set(k, s)
		}
	}
	if q.Denied {
		v.Set("denied", "true")
	}
	if q.Since > 0 {
		v.Set("startTime", time.Now().Add(-q.Since).UTC().Format(time.RFC3339))
	}
	if newest {
		v.Set("newest", "true")
	}
	v.Set("maxResults", fmt.Sprint(max))
	var page auditPage
	err := r.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/audit/records?"+v.Encode(), nil, &page)
	return page, err
}

func (r *Remote) show(raw string) error {
	if r.Term.JSON {
		return r.Term.Line("%s", raw)
	}
	rec, err := readRecord(raw)
	if err != nil {
		return err
	}
	if err := r.Term.Line("%s", rec.line(r.Term)); err != nil || !rec.denied() {
		return err
	}
	return r.Term.Line("         %s", plain(rec.ErrorMessage))
}

// AuditQuery prints the records that q selects, oldest first.
func (r *Remote) AuditQuery(ctx context.Context, q AuditQuery) error {
	after, left := "", q.Max
	for left > 0 {
		page, err := r.auditPage(ctx, q, after, min(left, 500), false)
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			if err := r.show(rec.Record); err != nil {
				return err
			}
		}
		left -= len(page.Records)
		if page.After == "" || len(page.Records) == 0 {
			return nil
		}
		after = page.After
	}
	return nil
}

// AuditTail prints records as they are written, until the context ends.
func (r *Remote) AuditTail(ctx context.Context, q AuditQuery) error {
	return r.follow(ctx, q, func(raw string) error { return r.show(raw) })
}

// follow hands each new record to fn until the context ends.
func (r *Remote) follow(ctx context.Context, q AuditQuery, fn func(raw string) error) error {
	page, err := r.auditPage(ctx, AuditQuery{}, "", 1, true)
	if err != nil {
		return err
	}
	after := page.After
	for {
		page, err := r.auditPage(ctx, q, after, 500, false)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if page.After != "" {
			after = page.After
		}
		for _, rec := range page.Records {
			if err := fn(rec.Record); err != nil {
				return err
			}
		}
	}
}

// AuditHead prints the last signed head.
func (r *Remote) AuditHead(ctx context.Context) error {
	var out struct{ Head string }
	if err := r.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/audit/head", nil, &out); err != nil {
		return err
	}
	return r.Term.Line("%s", out.Head)
}

// AuditVerify checks the trail; faults end the process with status 1.
func (r *Remote) AuditVerify(ctx context.Context, headFile string) error {
	in := map[string]string{}
	if headFile != "" {
		b, err := os.ReadFile(headFile)
		if err != nil {
			return err
		}
		in["Head"] = string(b)
	}
	var out struct {
		Intact            bool
		Records, Unsigned int64
		Faults            []struct {
			Position int64
			EventId  string
			Problem  string
		}
	}
	if err := r.REST(ctx, "bastide", http.MethodPost, "/_bastide/v1/audit/verify", in, &out); err != nil {
		return err
	}
	if r.Term.JSON {
		if err := r.Term.Print(out); err != nil {
			return err
		}
	} else if err := r.Term.Line("%d records, %d of them newer than the last signed head: %s", out.Records+out.Unsigned, out.Unsigned, verdict(out.Intact)); err != nil {
		return err
	}
	for _, f := range out.Faults {
		if !r.Term.JSON {
			if err := r.Term.Line("  record %d %s: %s", f.Position, f.EventId, f.Problem); err != nil {
				return err
			}
		}
	}
	if !out.Intact {
		return ExitError{Code: 1}
	}
	return nil
}

func verdict(intact bool) string {
	if intact {
		return "intact"
	}
	return "NOT INTACT"
}
