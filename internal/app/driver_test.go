package app

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/app/client"
)

// TestProcessDriver: a server without isolation says so in its health page, its status and every record;
// a driver that does not exist starts nothing.
func TestProcessDriver(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Driver, cfg.OpenCredentials = "process", true
	s := start(t, cfg)
	anybody := client.New(s.Address(), "eu-west-1", Credentials{AccessKeyID: "test", SecretAccessKey: "test"}.Signing())
	r := &Remote{Client: anybody, Term: NewTerminal(io.Discard, io.Discard, false)}
	iamCall(t, r, "CreateUser", "UserName", "ann")
	health, err := http.Get(s.Address() + "/_bastide/health")
	if err != nil {
		t.Fatal(err)
	}
	defer health.Body.Close()
	if b, _ := io.ReadAll(health.Body); !strings.Contains(string(b), `"isolation":false`) || !strings.Contains(string(b), `"driver":"process"`) {
		t.Errorf("health %s", b)
	}
	if out, err := s.trailText(t.Context(), "CreateUser"); err != nil || !strings.Contains(out, "bastideNoIsolation") {
		t.Errorf("the record does not say it: %s (%v)", out, err)
	}
	st, err := s.Status(t.Context())
	if err != nil || len(st.Waived) == 0 || st.Waived[0] != "isolation" {
		t.Errorf("status %+v, %v", st.Waived, err)
	}
	cfg.Driver = "docker"
	if err := cfg.check(); err == nil || !strings.Contains(err.Error(), "gvisor") {
		t.Errorf("an unknown driver: %v", err)
	}
}
