package gate

import (
	"context"
	"encoding/json"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// trail writes records in CloudTrail's shape.
type trail struct {
	*audit.Trail
	marks []string
}

// NewTrail is the audit trail as the gate writes it. Marks are what every record is to say of how the
// server runs, each as a member of the additional data that is true.
func NewTrail(t *audit.Trail, marks ...string) Trail { return trail{t, marks} }

func (t trail) Append(tx *store.Tx, r *Record) error { return t.Trail.Append(tx, t.marked(r)) }

// Note does not end with the call that it tells of: a caller who goes away is recorded too.
func (t trail) Note(r *Record) error { return t.Trail.Note(context.Background(), t.marked(r)) }

func (t trail) marked(r *Record) audit.Record {
	out := r.cloudTrail()
	for _, m := range t.marks {
		if out.Additional == nil {
			out.Additional = map[string]any{}
		}
		out.Additional[m] = true
	}
	return out
}

func (t trail) Space() string { return audit.Space }

func (r *Record) cloudTrail() audit.Record {
	out := audit.Record{EventTime: r.Time, UserIdentity: userIdentity(r.Principal), AWSRegion: r.Region, UserAgent: r.Source.UserAgent,
		RequestID: r.RequestID, ReadOnly: r.Access == Read, RecipientAccountID: r.Account, EventName: r.Event,
		ManagementEvent: true, SourceIPAddress: r.source(), RequestParameters: parameters(r.Op, r.In)}
	if r.Service != nil {
		out.EventSource, out.APIVersion = r.Service.EventSource, r.Service.APIVersion
		out.ManagementEvent = !dataEvents[r.Service.ID]
	}
	if r.Op != nil {
		out.EventName = r.Op.Name
		out.ResponseElements = parameters(r.Op, r.Out)
	} else {
		out.EventType = "AwsServiceEvent"
	}
	for _, res := range r.Resources {
		if res != "*" {
			a, _ := arn.Parse(res) // what is no ARN has no account
			out.Resources = append(out.Resources, audit.Resource{ARN: res, AccountID: a.Account})
		}
	}
	if r.Err != nil {
		out.ErrorCode, out.ErrorMessage = code(r.Op, r.Service, r.Err), r.Err.Message
	}
	more := map[string]any{}
	if r.Explanation != nil {
		more[audit.DecisionKey] = r.Explanation
	}
	if r.Phase != "" {
		more["bastidePhase"] = r.Phase
	}
	if r.SourceARN != "" {
		more["sourceArn"] = r.SourceARN
	}
	if r.Principal.OpenCredentials() {
		more["bastideOpenCredentials"] = true
	}
	if key := r.Principal.IssuingKey(); key != "" {
		more["bastideIssuingKey"] = key
	}
	if len(r.Source.Via) > 0 {
		more["bastideCalledVia"] = r.Source.Via
	}
	if len(more) > 0 {
		out.Additional = more
	}
	return out
}

// dataEvents are the services whose calls are events on data rather than on resources.
var dataEvents = map[string]bool{"dynamodb": true, "s3": true, "execute-api": true}

// code is the error's code as the caller gets it.
func code(op *wire.Operation, service *wire.Service, e *awserr.Error) string {
	c, _ := service.Code(op, e)
	return c
}

// parameters are an input or output without its secrets.
func parameters(op *wire.Operation, v any) json.RawMessage {
	switch {
	case v == nil:
		return nil
	case op == nil:
		b, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return b
	}
	return op.Record(v)
}

// source is the address of the caller, the function at whose door it came, or the service that calls.
func (r *Record) source() string {
	switch {
	case len(r.Source.Via) > 0:
		return r.Source.Via[len(r.Source.Via)-1]
	case r.Principal.ServiceName() != "":
		return r.Principal.ServiceName()
	}
	return r.Source.Place()
}

func userIdentity(p identity.Principal) audit.UserIdentity {
	u := audit.UserIdentity{Type: p.Kind().String(), PrincipalID: p.UserID(), ARN: p.ARN(), AccountID: p.Account(), AccessKeyID: p.AccessKeyID(),
		UserName: p.UserName(), InvokedBy: p.InvokedBy()}
	if p.Kind() == identity.KindAnonymous {
		u.Type = "AWSAccount"
		u.PrincipalID = "ANONYMOUS_PRINCIPAL"
	}
	if !p.Temporary() {
		return u
	}
	mfa := "false"
	if p.MFA() {
		mfa = "true"
	}
	u.SessionContext = &audit.SessionContext{Attributes: &audit.SessionAttributes{CreationDate: p.CreatedAt(), MFAAuthenticated: mfa}}
	if issuer, err := arn.Parse(p.RoleARN()); err == nil {
		u.SessionContext.SessionIssuer = &audit.SessionIssuer{Type: "Role", PrincipalID: p.RoleUniqueID(), ARN: p.RoleARN(),
			AccountID: issuer.Account, UserName: issuer.Last()}
	}
	return u
}
