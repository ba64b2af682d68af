package lambda

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// maxPolicy is the quota of a function's resource policy in bytes. Source: AWS Lambda Developer
// Guide, "Lambda quotas".
const maxPolicy = 20480

const badPrincipal = "The provided principal was invalid. Please check the principal and try again."

var serviceName = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$|^[a-z0-9-]+\.(alexa|amazon)[a-z0-9.-]*\.com$`)

// policyOf is the key of the policy that judges a qualifier: the function itself has one, and so
// has each version and alias.
func policyOf(qualifier string) string {
	if qualifier == name.Latest {
		return ""
	}
	return qualifier
}

const (
	policyHead = `{"Version":"2012-10-17","Id":"default","Statement":[`
	policyFoot = `]}`
)

// document is the policy as it is judged.
func (p permissions) document() string {
	var b strings.Builder
	b.WriteString(policyHead)
	for i, st := range p.Statements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(st.JSON)
	}
	b.WriteString(policyFoot)
	return b.String()
}

// names has the ARNs of those whom the document names by unique id.
func (p permissions) names() map[string]string {
	all := map[string]string{}
	for _, st := range p.Statements {
		maps.Copy(all, st.Names)
	}
	return all
}

func (p permissions) index(sid string) int {
	return slices.IndexFunc(p.Statements, func(s statement) bool { return s.Sid == sid })
}

// written is a statement in the order in which Lambda writes it.
type written struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// write words a permission as a statement.
func write(r reference, in *lambda.AddPermissionInput) (statement, error) {
	w := written{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: r.arn(), Condition: map[string]map[string]string{}}
	switch account := arnAccount(in.Principal); {
	case in.Principal == "*":
		w.Principal = "*"
	case name.Account(in.Principal):
		w.Principal = map[string]string{"AWS": arn.New("iam", "", in.Principal, "root").String()}
	case account != "":
		w.Principal = map[string]string{"AWS": in.Principal}
	case serviceName.MatchString(in.Principal):
		w.Principal = map[string]string{"Service": in.Principal}
	default:
		return statement{}, invalid(badPrincipal)
	}
	condition := func(op, key, value string) {
		if w.Condition[op] == nil {
			w.Condition[op] = map[string]string{}
		}
		w.Condition[op][key] = value
	}
	for _, c := range []struct {
		op, key string
		value   *string
	}{
		{"StringEquals", "AWS:SourceAccount", in.SourceAccount},
		{"ArnLike", "AWS:SourceArn", in.SourceArn},
		{"StringEquals", "lambda:EventSourceToken", in.EventSourceToken},
		{"StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID},
		{"StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType},
	} {
		if c.value != nil && *c.value != "" {
			condition(c.op, c.key, *c.value)
		}
	}
	if wire.Val(in.InvokedViaFunctionUrl) {
		condition("Bool", "lambda:InvokedViaFunctionUrl", "true")
	}
	text, err := json.Marshal(w)
	if err != nil {
		return statement{}, err
	}
	return statement{Sid: in.StatementId, JSON: string(text)}, nil
}

// bind is a permission as it is kept. What could not be enforced is refused now, not when somebody
// calls.
func bind(c *gate.Call, st statement) (statement, error) {
	p, err := policy.Parse([]byte(permissions{Statements: []statement{st}}.document()), policy.Resource)
	if err != nil {
		return statement{}, invalid(badPrincipal)
	}
	text, names, err := c.Bind(p)
	if _, ok := errors.AsType[*policy.Error](err); ok {
		return statement{}, invalid(badPrincipal)
	}
	st.JSON, st.Names = strings.TrimSuffix(strings.TrimPrefix(text, policyHead), policyFoot), names
	return st, err
}

// arnAccount is the account of an IAM principal's ARN, "" for anything else.
func arnAccount(s string) string {
	a, err := arn.Parse(s)
	if err != nil || a.Service != "iam" && a.Service != "sts" || !name.Account(a.Account) {
		return ""
	}
	return a.Account
}

func (s *Service) addPermission(c *gate.Call, in *lambda.AddPermissionInput) (*lambda.AddPermissionOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	if r.Qualifier == name.Latest {
		return nil, invalid("We currently do not support adding policies for $LATEST.")
	}
	if in.FunctionUrlAuthType != nil && in.Action != "lambda:InvokeFunctionUrl" {
		return nil, invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	}
	if wire.Val(in.InvokedViaFunctionUrl) && in.Action != "lambda:InvokeFunction" {
		return nil, invalid("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
	}
	given, err := write(r, in)
	if err != nil {
		return nil, err
	}
	st, err := bind(c, given)
	if err != nil {
		return nil, err
	}
	revision := s.IDs.UUID()
	return gate.Commit(c, func(tx *store.Tx) (*lambda.AddPermissionOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		of := policyOf(r.Qualifier)
		p, ok, err := s.t.permissions.Get(tx, r.key(of))
		if err != nil {
			return nil, err
		}
		if in.RevisionId != nil && (!ok || p.Revision != *in.RevisionId) {
			return nil, staleRevision("GetPolicy")
		}
		if p.index(in.StatementId) >= 0 {
			return nil, conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", in.StatementId)
		}
		p.Statements = append(p.Statements, st)
		if n := len(p.document()); n > maxPolicy {
			return nil, awserr.New("PolicyLengthExceededException", 400, "The final policy size (%d) is bigger than the limit (%d).", n, maxPolicy)
		}
		p.Revision = revision
		return &lambda.AddPermissionOutput{Statement: &given.JSON}, s.t.permissions.Put(tx, f, of, p)
	})
}

func (s *Service) removePermission(c *gate.Call, in *lambda.RemovePermissionInput) (*lambda.RemovePermissionOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	revision := s.IDs.UUID()
	return gate.Commit(c, func(tx *store.Tx) (*lambda.RemovePermissionOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		of := policyOf(r.Qualifier)
		p, ok, err := s.t.permissions.Get(tx, r.key(of))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, notFound("No policy is associated with the given resource.")
		}
		if in.RevisionId != nil && p.Revision != *in.RevisionId {
			return nil, staleRevision("GetPolicy")
		}
		i := p.index(in.StatementId)
		if i < 0 {
			return nil, notFound("Statement %s is not found in resource policy.", in.StatementId)
		}
		p.Statements, p.Revision = slices.Delete(p.Statements, i, i+1), revision
		if len(p.Statements) > 0 {
			err = s.t.permissions.Put(tx, f, of, p)
		} else {
			err = s.t.permissions.Delete(tx, f, of)
		}
		return &lambda.RemovePermissionOutput{}, err
	})
}

func (s *Service) getPolicy(c *gate.Call, in *lambda.GetPolicyInput) (*lambda.GetPolicyOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	var p permissions
	err = c.View(func(tx *store.Tx) error {
		if _, err := s.t.find(tx, r); err != nil {
			return err
		}
		var ok bool
		if p, ok, err = s.t.permissions.Get(tx, r.key(policyOf(r.Qualifier))); err == nil && !ok {
			return notFound("The resource you requested does not exist.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	text, err := c.Unbind(p.document(), p.names())
	return &lambda.GetPolicyOutput{Policy: &text, RevisionId: &p.Revision}, err
}

// staleRevision is the refusal of a change to something that has changed since it was read.
func staleRevision(call string) error {
	return awserr.New("PreconditionFailedException", 412, "The Revision Id provided does not match the latest Revision Id. Call the %s API to retrieve the latest Revision Id", call)
}
