package gate

import (
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/policy"
)

// decide is station 7: each need against every policy that applies. The first refusal is
// explained, recorded with the call and returned.
func (g *Gate) decide(a *Ask, needs []Need) error {
	if len(needs) == 0 && !a.entry.Principal.Temporary() {
		return nil // a session needs its role or user still to be there
	}
	grant, err := g.directory.Grant(a.entry.Principal)
	if err != nil {
		return err
	}
	a.grant = &grant
	for i := range needs {
		if needs[i].Optional {
			continue // decided when the handler asks
		}
		if err := a.judge(&needs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *Ask) judge(n *Need) error {
	req := policy.Request{Principal: &a.grant.Principal, Action: n.Action, Resource: n.Resource,
		ResourceAccount: n.Account, ResourcePolicyRequired: n.PolicyRequired, Context: &conditions{ask: a, need: n}}
	if req.ResourceAccount == "" {
		req.ResourceAccount = a.entry.Account
	}
	set := a.grant.Set
	set.Resource = n.Policy
	if n.Returned != nil {
		// A user without a name or account: only "*" in a resource's policy means it, and either
		// policy may allow. Source: API Gateway Developer Guide, "API Gateway resource policy and
		// Lambda authorizer", table A.
		req.Principal = &policy.Principal{Type: policy.User, UserID: a.entry.Principal.UserID()}
		req.ResourceAccount = ""
		set.Identity = n.Returned
	}
	d := policy.Decide(&req, &set)
	a.touched = append(a.touched, n.Resource)
	if d.Allowed || a.screening && d.Reason != policy.ExplicitDeny {
		return nil
	}
	why := policy.Explain(&req, &set)
	a.refusal = &why
	if n.Hidden != nil {
		return n.Hidden
	}
	return awserr.Of(awserr.AccessDenied, "%s", d.Message(&req))
}
