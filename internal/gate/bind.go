package gate

import "github.com/bastide-cloud/bastide/internal/policy"

// Principals finds users and roles; service/iam implements it.
type Principals interface {
	// PrincipalID is the unique id (AIDA…, AROA…) of the user or role that has this ARN now.
	PrincipalID(arn string) (id string, ok bool, err error)
}

// Bind is a resource's policy as it is to be stored and judged: users and roles of the call's account
// by their unique ids. names goes with it, for Unbind. One that is not there is refused with a
// *policy.Error. It reads IAM's rows, so it has no place inside View or Update; who is deleted between
// it and the commit is bound as whoever was there before.
func (c *Call) Bind(p *policy.Policy) (text string, names map[string]string, err error) {
	if c.inTx {
		return "", nil, errNested
	}
	return p.Bind(c.Account(), c.gate.principalID)
}

// Unbind is such a policy as it is shown.
func (c *Call) Unbind(text string, names map[string]string) (string, error) {
	if c.inTx {
		return "", errNested
	}
	return policy.Unbind(text, names, c.gate.principalID)
}

// principalID finds nobody where there is no service of users and roles.
func (g *Gate) principalID(arn string) (string, bool, error) {
	if g.principals == nil {
		return "", false, nil
	}
	return g.principals.PrincipalID(arn)
}
