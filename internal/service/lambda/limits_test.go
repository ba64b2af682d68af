package lambda

import (
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// TestSettingsThatADriverLacks: what the driver does not hold is refused by name when it is asked for, and
// nothing else is.
func TestSettingsThatADriverLacks(t *testing.T) {
	image := packageImage
	full := Isolation{Driver: "namespace"}
	gvisor := Isolation{Driver: "gvisor", Lacks: []sandbox.Setting{sandbox.Profiled, sandbox.IPv6Ways}}
	process := Isolation{Driver: "process", Lacks: []sandbox.Setting{sandbox.Profiled, sandbox.WaysOut, sandbox.IPv6Ways, sandbox.Images, sandbox.TmpBound}}
	for _, c := range []struct {
		name string
		in   Isolation
		tags map[string]string
		w    wishes
		want string // part of the refusal; "": none
	}{
		{"learning", full, map[string]string{tagProfile: "learn"}, wishes{}, ""},
		{"learning", gvisor, map[string]string{tagProfile: "learn"}, wishes{}, "a runtime profile, under the sandbox driver gvisor,"},
		{"no longer", gvisor, map[string]string{tagProfile: "off"}, wishes{}, ""},
		{"a block", gvisor, map[string]string{tagEgress: "10.0.0.0/8:5432 *.example.com:443-445"}, wishes{}, ""},
		{"a block of IPv6", gvisor, map[string]string{tagEgress: "[2001:db8::/32]:443"}, wishes{}, "ways out to IPv6 addresses, under"},
		{"a block of IPv6", full, map[string]string{tagEgress: "[2001:db8::/32]:443"}, wishes{}, ""},
		{"a host", process, map[string]string{tagEgress: "db.example.com:5432"}, wishes{}, "ways out, by tags or VpcConfig, under the sandbox driver process,"},
		{"a group", process, nil, wishes{Network: &network{Groups: []string{"sg-1"}}}, "ways out"},
		{"out of its groups", process, nil, wishes{Network: &network{}}, ""},
		{"an image", process, nil, wishes{Package: &image}, "a container image"},
		{"an image", gvisor, nil, wishes{Package: &image}, ""},
		{"a /tmp", process, nil, wishes{Tmp: &lambda.EphemeralStorage{Size: 1024}}, "an EphemeralStorage of its own"},
		{"Lambda's /tmp", process, nil, wishes{Tmp: &lambda.EphemeralStorage{Size: defaultTmp}}, ""},
		{"a plain one", process, map[string]string{"team": "x"}, wishes{}, ""},
	} {
		err := c.in.check(c.tags, c.w)
		if got := ""; err != nil {
			if got = err.Error(); c.want == "" || !strings.Contains(got, c.want) || !strings.Contains(got, "not built") {
				t.Errorf("%s under %s: %s", c.name, c.in.Driver, got)
			}
		} else if c.want != "" {
			t.Errorf("%s under %s is taken", c.name, c.in.Driver)
		}
	}
}
