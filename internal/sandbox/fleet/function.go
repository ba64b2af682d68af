package fleet

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/base/way"
)

// Function is one version of a function: everything that decides how its instances run.
type Function struct {
	ARN      string // of the function, without a version: what reserved concurrency counts by
	Name     string
	Version  string // "$LATEST" or a number
	Revision string // changes with every change of code or configuration
	Account  string
	Region   string
	Role     string // ARN

	Runtime string // "nodejs22.x"
	// RuntimeVersion is the one version of the runtime that it may start on
	// (runtimes.Runtime.VersionID); empty: whichever the machine has.
	RuntimeVersion string
	Handler        string
	Code           string   // host folder that becomes /var/task
	Layers         []string // host folders merged at /opt, later ones win
	Image          *Image   // in place of the four before it
	Env            map[string]string

	MemoryMB int
	TmpMB    int // 512 if zero
	Timeout  time.Duration

	// Reserved is the function's reserved concurrency; nil: it shares the account's.
	Reserved *int
	// HeldBack is how much of the account's concurrency its functions have reserved: those without a
	// reservation share the rest.
	HeldBack int

	LogGroup  string
	LogFormat string // "Text" or "JSON"
	LogLevel  string // of the application, for JSON; may be empty

	Ways []way.Way // out, that are declared for it; see CheckWays

	// Provisioned is how many invocations of this version run on instances that are held ready for it,
	// beside the account's unreserved concurrency.
	Provisioned int
	// PerTenant: every event names a tenant, and no two tenants ever share an instance.
	PerTenant bool
	// Once: an instance serves one event and is ended.
	Once bool
	// Profile is the function's runtime profile, where it has one.
	Profile *Profile
	// InitType is how its instances come to be, OnDemand if empty.
	InitType string
}

// Credentials are a role's temporary keys.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expires                                    time.Time
}

// Runtimes resolves a runtime's name; *runtimes.Catalog does.
type Runtimes interface {
	Resolve(ctx context.Context, name string) (*runtimes.Runtime, error)
}

// Logs receives what functions write. It is called with one stream's events in order; it must not
// block for long, since the function waits.
type Logs interface {
	Append(stream Stream, events []LogEvent)
}

// Stream is one instance's log stream.
type Stream struct {
	Account, Region, Group, Name string
	FunctionARN, Role            string // whose it is, and under whose permissions it is written
	JSON                         bool   // the platform's lines are
}

// LogEvent is one event: a line with its line break, as CloudWatch Logs has them.
type LogEvent struct {
	At       time.Time
	Message  string
	Platform bool // Lambda's own, as START and REPORT; never dropped
}

// Deps is what a Fleet is made of. Dial may be nil when no function has ways out.
type Deps struct {
	Driver   sandbox.Driver
	Runtimes Runtimes
	Logs     Logs
	CA       *ca.Authority
	Clock    clock.Clock
	IDs      ids.Source

	// Credentials gives an instance its role's keys; they should last an hour.
	Credentials func(ctx context.Context, fn Function) (Credentials, error)
	// Serve answers a function's calls of AWS's API on l until l is closed. The function behind the
	// listener is known, but every call is signed and judged as any other.
	Serve func(fn Function, chain func() []string, l net.Listener)
	// Dial opens a connection to "host:port" along a way that is in force for fn when it is asked, or refuses
	// it: fn.Ways are those that there were when the instance was started. A connection whose way is taken away
	// later it closes; one that has a method Cut() bool tells so, and the function's end of it is reset.
	Dial func(ctx context.Context, fn Function, address string) (net.Conn, error)
	// Refused is told of what a function tried to reach and that no way is declared for; nil for nobody.
	// It must not block for long.
	Refused func(fn Function, r Refusal)

	// Pool is how many sandboxes are kept ready for functions that are not known yet, and PoolMemory how
	// many bytes they may hold; 0: none, and as package pool has it. Code and layers lie below Store.
	Pool       int
	PoolMemory int64
	Store      string

	// Profiles hears of runtime profiles; it may be nil when no function has one.
	Profiles Profiles

	Dir     string // for files that instances share, such as the bundle of roots
	APIPort int    // of the API inside; 4566 if zero

	Concurrency int           // of an account in a region; 1000 if zero
	StreamRate  int64         // bytes a second of a streamed answer behind its first 6 MB; 2 MB if zero, as fast as it comes if negative
	Instances   int           // that are kept at most, idle ones ended first; 200 if zero
	FreezeAfter time.Duration // idle; 20 ms if zero
	EndAfter    time.Duration // idle; 10 minutes if zero
}

func (d Deps) withDefaults() Deps {
	if d.APIPort == 0 {
		d.APIPort = 4566
	}
	if d.Concurrency == 0 {
		d.Concurrency = 1000
	}
	if d.Instances == 0 {
		d.Instances = 200
	}
	if d.FreezeAfter == 0 {
		d.FreezeAfter = 20 * time.Millisecond
	}
	if d.EndAfter == 0 {
		d.EndAfter = 10 * time.Minute
	}
	return d
}

// bundlePath is where functions find the roots that they trust; the other usual places lead there.
const bundlePath = "/etc/pki/tls/certs/ca-bundle.crt"

// bundleVariables are how programs are told of it.
var bundleVariables = []string{"SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

// nodeRoots names roots beside those that node was built with. It is none of bundleVariables: a node
// that waits for its function would read the same roots twice, in its first connection.
const nodeRoots = "NODE_EXTRA_CA_CERTS"

// environ is the environment of an instance ("Using Lambda environment variables"): the runtime's
// own, then the function's, then what a function cannot change.
func (f Function) environ(rt *runtimes.Runtime, c Credentials, stream string, apiPort int) []string {
	env := map[string]string{}
	for _, kv := range f.baseline(rt) {
		env[kv[0]] = kv[1]
	}
	for _, name := range bundleVariables {
		env[name] = bundlePath
	}
	// The node of a runtime is told by an option; this tells those that a function or an extension starts.
	if _, ok := env[nodeRoots]; !ok {
		env[nodeRoots] = bundlePath
	}
	env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:" + strconv.Itoa(apiPort)
	for k, v := range f.Env {
		env[k] = v
	}
	fixed := [][2]string{
		{"_HANDLER", f.Handler},
		{"AWS_REGION", f.Region}, {"AWS_DEFAULT_REGION", f.Region},
		{"AWS_LAMBDA_FUNCTION_NAME", f.Name}, {"AWS_LAMBDA_FUNCTION_VERSION", f.Version},
		{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", strconv.Itoa(f.MemoryMB)},
		{"AWS_LAMBDA_LOG_GROUP_NAME", f.LogGroup}, {"AWS_LAMBDA_LOG_STREAM_NAME", stream},
		{"AWS_LAMBDA_INITIALIZATION_TYPE", f.initType()},
		{"AWS_ACCESS_KEY_ID", c.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", c.SecretAccessKey}, {"AWS_SESSION_TOKEN", c.SessionToken},
		{"AWS_LAMBDA_RUNTIME_API", runtimeAPI},
		{"LAMBDA_TASK_ROOT", runtimes.TaskRoot}, {"LAMBDA_RUNTIME_DIR", runtimes.RuntimeDir},
	}
	if strings.EqualFold(f.LogFormat, "JSON") {
		fixed = append(fixed, [2]string{"AWS_LAMBDA_LOG_FORMAT", "JSON"}, [2]string{"AWS_LAMBDA_LOG_LEVEL", f.LogLevel})
	}
	for _, kv := range fixed {
		if f.Image == nil || !ofImages(kv[0]) {
			env[kv[0]] = kv[1]
		}
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

func (f Function) initType() string { return cmp.Or(f.InitType, OnDemand) }

// TenantError is an event that names no tenant where it must, or one where none may be.
type TenantError struct{ Wanted bool }

func (e *TenantError) Error() string {
	if e.Wanted {
		return "fleet: the function keeps tenants apart, and the event names none"
	}
	return "fleet: the function does not keep tenants apart, and the event names one"
}

// tenantOf is whose instances an event may run on.
func (f Function) tenantOf(ev Event) (string, error) {
	if f.PerTenant != (ev.TenantID != "") {
		return "", &TenantError{f.PerTenant}
	}
	return ev.TenantID, nil
}
