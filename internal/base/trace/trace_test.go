package trace

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/ids"
)

const good = "Root=1-5759e988-bd862e3fe1be46a994272793"

func TestContinue(t *testing.T) {
	made := regexp.MustCompile(`^Root=1-5759e988-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`)
	for given, kept := range map[string]bool{
		good: true,
		good + ";Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:abc:0": true,
		"Self=1-67891234-12456789abcdef012345678; " + good:          true,
		good + ";" + strings.Repeat("x", 256-len(good)-1):           true,
		good + ";" + strings.Repeat("x", 256-len(good)):             false,
		"":                                   false,
		"Root=":                              false,
		"Root=1-5759e988":                    false,
		strings.Replace(good, "b", "g", 1):   false,
		strings.Replace(good, "1-", "2-", 1): false,
		good + "0":                           false,
		good + ";a=\n":                       false,
		good + ";a=\x7f":                     false,
		good + ";a=é":                        false,
	} {
		got := Continue(given, time.Unix(0x5759e988, 0), ids.Source{})
		if kept && got != given || !kept && !made.MatchString(got) {
			t.Errorf("%q is continued as %q", given, got)
		}
		if !Valid(got) {
			t.Errorf("%q is not valid", got)
		}
	}
}

func FuzzValid(f *testing.F) {
	f.Add(good)
	f.Add(good + ";Sampled=1")
	f.Fuzz(func(t *testing.T, header string) {
		if Valid(header) && (len(header) > 256 || strings.ContainsAny(header, "\r\n\x00") || !strings.Contains(header, "Root=1-")) {
			t.Errorf("%q is passed on", header)
		}
	})
}
