package cli

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestCommands runs the scripts. $DATA is the directory of a running server that they share; $WORK
// is each script's own.
//
//	until COMMAND…   repeats a command until it succeeds
//	family DIR       notes the process that serves a directory, and all that it has started
//	gone             fails while one of them is still there
//	refused NAME     has a user without rights ask for a table, and puts the request's id in NAME
func TestCommands(t *testing.T) {
	s := harness.Start(t)
	nobody := user(t, s)
	python, err := exec.CommandContext(t.Context(), "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.CommandContext(t.Context(), "node", "-p", "'nodejs' + process.versions.node.split('.')[0] + '.x'").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(harness.Binary())+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("DATA", s.Data)
			e.Setenv("ADDRESS", s.Address)
			e.Setenv("PYTHON", strings.TrimSpace(string(python)))
			e.Setenv("NODE", strings.TrimSpace(string(node)))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"until": until, "family": family, "gone": gone,
			"refused": func(ts *testscript.TestScript, _ bool, args []string) {
				err := s.As(nobody).JSON(t.Context(), "dynamodb", "DynamoDB_20120810.DescribeTable", map[string]string{"TableName": "secret"}, nil)
				refusal, ok := errors.AsType[*client.Error](err)
				if !ok || refusal.Code != "AccessDeniedException" {
					ts.Fatalf("a user without rights: %v", err)
				}
				ts.Setenv(args[0], refusal.RequestID)
			},
		}})
}

// until repeats a command, for at most half a minute.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until COMMAND…")
	}
	end := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		<-tick.C
	}
}

// user is one who may do nothing.
func user(t *testing.T, s *harness.Server) sigv4.Credentials {
	c := s.Client(t)
	if err := c.Query(t.Context(), "iam", "2010-05-08", "CreateUser", url.Values{"UserName": {"nobody"}}, nil); err != nil {
		t.Fatal(err)
	}
	var out struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := c.Query(t.Context(), "iam", "2010-05-08", "CreateAccessKey", url.Values{"UserName": {"nobody"}}, &out); err != nil {
		t.Fatal(err)
	}
	return sigv4.Credentials{AccessKeyID: out.ID, SecretAccessKey: out.Secret}
}
