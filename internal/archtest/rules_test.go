package archtest

// rooms is who may import whom inside internal/: room → the rooms it may use. Every room may use
// base and its own sub-packages; what is not listed is refused. DESIGN: "Who may import whom".
var rooms = map[string][]string{
	"base":     {},
	"policy":   {},
	"waf":      {},
	"store":    {},
	"egress":   {},
	"wire":     {},
	"template": {},
	"sandbox":  {},
	"sigv4":    {},
	"evidence": {},
	"api":      {"wire"},
	"audit":    {"store"},
	"identity": {"sigv4"},
	"gate":     {"policy", "audit", "store", "identity", "wire"}, // wire: decision 0001
	"deploy":   {"scan", "template", "gate", "api"},
	"scan":     {"evidence", "template", "policy"},
	"review":   {"evidence", "template", "policy"},
	"edge":     {"waf", "gate", "identity", "wire", "api", "policy"},
	"front":    {"wire", "sigv4", "identity", "gate", "edge"},
	"attack":   {"api", "policy", "template", "evidence", "wire"},
	"detect":   {"audit", "policy", "api", "evidence"},
	"console":  {},
	"archtest": {},
	"app":      {"*"},
	"service":  {"gate", "api", "store", "policy", "wire"}, // never another service; wire: decision 0001
}

// extra are the named exceptions for one service.
var extra = map[string][]string{
	"service/lambda":         {"sandbox"},
	"service/wafv2":          {"waf"},
	"service/cloudformation": {"deploy", "template"}, // decision 0017
	"service/iam":            {"identity"},           // implements the Directory
	"service/sts":            {"identity"},           // issues session tokens
	"service/bastide":        {"audit"},              // the trail is what it serves
}

// pure are the rooms that a service's sub-packages may use.
var pure = []string{"policy"}

// guarded are standard packages that only the named folders may import, test files aside.
var guarded = map[string][]string{
	"net":      {"cmd/init", "internal/front", "internal/sandbox", "internal/egress", "internal/app"},
	"net/http": {"internal/front", "internal/wire", "internal/sigv4", "internal/edge", "internal/egress", "internal/sandbox", "internal/app"},
	"os/exec":  {"internal/sandbox", "internal/app", "tools"},
	"unsafe":   {"cmd/init", "internal/sandbox"},
}
