package lambda

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// perTenant is the one mode of tenant isolation.
const perTenant = "PER_TENANT"

// tagIsolation is the tag that says how far a function's invocations are kept apart: "request" gives
// each an environment of its own, which is ended after it. Without it, an environment serves one
// invocation after another, as on Lambda.
const (
	tagIsolation = "bastide:isolation"
	byRequest    = "request"
)

// checkIsolation refuses an isolation that there is not.
func checkIsolation(tags map[string]string) error {
	if v, given := tags[tagIsolation]; given && v != byRequest {
		return invalid("The tag %s: %q is not %q, which is the one isolation that can be asked for.", tagIsolation, v, byRequest)
	}
	return nil
}

// confine puts into f what decides which instances a version's invocations may run on.
func (s *Service) confine(tx *store.Tx, fn function, v version, f *fleet.Function) error {
	f.PerTenant = fn.Tenancy == perTenant
	if fn.Tags[tagIsolation] == byRequest {
		f.Once = true
		f.Revision += " once" // instances that have served others end
	}
	if v.Snap && v.Number > 0 {
		f.InitType = fleet.SnapStart
	}
	n, err := s.t.readyFor(tx, fn, v.Number)
	f.Provisioned = int(n)
	return err
}

// tenancyOf reads what CreateFunction asks for; the mode cannot be changed later.
func tenancyOf(in *lambda.TenancyConfig, v *version) (string, error) {
	if in == nil {
		return "", nil
	}
	return in.TenantIsolationMode, function{Tenancy: in.TenantIsolationMode}.alone(*v)
}

// alone refuses what does not go with tenants that are kept apart. Source: AWS Lambda Developer Guide,
// "Tenant isolation", limitations.
func (f function) alone(v version) error {
	if f.Tenancy != "" && v.Snap {
		return invalid("SnapStart is not supported for functions with tenant isolation.")
	}
	return nil
}

func (f function) showTenancy(c *lambda.FunctionConfiguration) {
	if f.Tenancy != "" {
		c.TenancyConfig = &lambda.TenancyConfig{TenantIsolationMode: f.Tenancy}
	}
}

// checkTenant refuses an invocation without a tenant of a function that keeps them apart, and one with
// a tenant of any other.
func checkTenant(f function, tenant *string) error {
	if wanted := f.Tenancy == perTenant; wanted != (tenant != nil && *tenant != "") {
		return tenantRefusal(wanted)
	}
	return nil
}

func tenantRefusal(wanted bool) error {
	if wanted {
		return invalid("The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again.")
	}
	return invalid("The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again.")
}

// relaxed is the need of who lets a function's invocations share environments again that its tag kept
// apart, or holds it less to its profile: many may change tags who shall not weaken its isolation.
// becomes is what a tag will be; empty where it goes.
func relaxed(r reference, now function, becomes func(tag string) string) []gate.Need {
	keys := map[string][]string{}
	if was := now.Tags[tagIsolation]; was == byRequest && becomes(tagIsolation) != byRequest {
		keys["bastide:Isolation"] = strings.Fields(was)
	}
	if was := now.Tags[tagProfile]; strictness(was) > strictness(becomes(tagProfile)) {
		keys["bastide:Profile"] = strings.Fields(was)
	}
	if len(keys) == 0 {
		return nil
	}
	return []gate.Need{{Action: "bastide:RelaxIsolation", Resource: r.functionKey.arn(""), Account: r.Account, Keys: keys}}
}
