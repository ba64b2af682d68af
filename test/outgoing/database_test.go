package outgoing

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// asks is a function that asks a PostgreSQL server with a client of PyPI.
const asks = `
import pg8000.native

def handler(event, context):
    try:
        db = pg8000.native.Connection("app", host=event["host"], port=event["port"], password="right", database="postgres", timeout=5)
    except Exception as e:
        return {"Error": str(e)}
    db.run("CREATE TABLE IF NOT EXISTS seen (n int)")
    db.run("INSERT INTO seen VALUES (:n)", n=event["n"])
    return {"Body": str(db.run("SELECT sum(n) FROM seen")[0][0])}
`

// inNetwork puts the function into a VPC whose security group lets it out to one address and port: by a
// rule of the group's own, or by one beside it.
const inNetwork = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Network: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.77.0.0/16}}
  Part: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Network, CidrBlock: 10.77.1.0/24}}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: of the function
      VpcId: !Ref Network
      SecurityGroupEgress: [{IpProtocol: tcp, FromPort: 9, ToPort: 9, CidrIp: 198.51.100.0/24}]
  Out:
    Type: AWS::EC2::SecurityGroupEgress
    Properties: {GroupId: !GetAtt Group.GroupId, IpProtocol: tcp, FromPort: %[2]s, ToPort: %[2]s, CidrIp: %[1]s/32}
  Asks:
    Type: AWS::Serverless::Function
    DependsOn: Out
    Properties:
      FunctionName: asks
      CodeUri: ./code
      Runtime: %[3]s
      Handler: app.handler
      Timeout: 20
      VpcConfig: {SecurityGroupIds: [!GetAtt Group.GroupId], SubnetIds: [!Ref Part]}
`

// TestDatabase has a function of a deployed template speak with a real PostgreSQL, through its security
// group, and with nothing else.
func TestDatabase(t *testing.T) {
	host := address(t)
	port := postgres(t, host)
	s := harness.Start(t)
	f := function{t, s, "asks"}
	dir := filepath.Join(t.TempDir(), "network")
	libraries(t, filepath.Join(dir, "code"))
	write(t, filepath.Join(dir, "code", "app.py"), asks)
	write(t, filepath.Join(dir, "template.yaml"), fmt.Sprintf(inNetwork, host, port, f.runtime()))
	if out, bad, err := s.Bastide(t, "deploy", dir, "--stack", "network"); err != nil {
		t.Fatalf("%v\n%s%s", err, out, bad)
	}
	ask := func(host, port string, n int) visit {
		t.Helper()
		var out struct {
			visit
			ErrorMessage string
		}
		f.call("POST", "/2015-03-31/functions/asks/invocations", map[string]any{"host": host, "port": port, "n": n}, &out)
		if out.ErrorMessage != "" {
			t.Fatal(out.ErrorMessage)
		}
		return out.visit
	}
	if got := ask(host, port, 3); got.Body != "3" {
		t.Fatalf("the first question: %+v", got)
	}
	if got := ask(host, port, 4); got.Body != "7" {
		t.Errorf("the second question: %+v", got)
	}
	rec := s.Recorded(t, "the connection", url.Values{"eventName": {"Connect"}}, on(host+":"+port))
	if rec.ErrorCode != "" || !strings.Contains(rec.UserIdentity.ARN, ":assumed-role/") {
		t.Errorf("its record: %+v", rec)
	}
	closed := page(t, "closed")
	if got := ask(host, closed, 1); got.Error == "" {
		t.Errorf("another port of the database's host: %+v", got)
	}
	if got := ask("database.example", port, 1); got.Error == "" {
		t.Errorf("a host that no rule has: %+v", got)
	}
	refused := s.Recorded(t, "the refusal", url.Values{"eventName": {"Resolve"}}, func(r audit.Record) bool {
		return strings.HasPrefix(r.ErrorCode, "AccessDenied") && len(r.Resources) == 1 && strings.HasPrefix(r.Resources[0].ARN, "database.example")
	})
	if !strings.Contains(refused.UserIdentity.ARN, ":assumed-role/") {
		t.Errorf("the record of the refusal: %+v", refused)
	}
}

// address is one of this machine's that is no loopback's, as rules of security groups name them.
func address(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	t.Fatal("this machine has no IPv4 address but its loopback's")
	return ""
}

// postgres starts a PostgreSQL server and gives its port.
func postgres(t *testing.T, host string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	if at, err := exec.LookPath("initdb"); err == nil {
		found = append(found, at)
	}
	if len(found) == 0 {
		t.Fatal("PostgreSQL is missing: run `make tools` first (Debian: apt-get install postgresql)")
	}
	bin := filepath.Dir(found[0])
	dir, err := os.MkdirTemp("", "bastide-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 { // which PostgreSQL does not run as
		const nobody = 65534
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	write(t, filepath.Join(dir, "password"), "right")
	if err := os.Chmod(filepath.Join(dir, "password"), 0o644); err != nil {
		t.Fatal(err)
	}
	first := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "app", "-A", "scram-sha-256", "--pwfile", filepath.Join(dir, "password"), "--no-sync")
	first.SysProcAttr, first.Dir = attr, dir
	if out, err := first.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	hba, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(hba, "host all all %s/32 scram-sha-256\n", host)
	}
	if err != nil || hba.Close() != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", host, "-p", port, "-k", dir, "-F")
	server.SysProcAttr, server.Dir = attr, dir
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // it may have ended
		_ = server.Wait()                         // as above
	})
	harness.Until(t, "PostgreSQL answers", func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return port
}

// libraries copies the database client, with what it needs, to where a function finds it.
func libraries(t *testing.T, to string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pg8000", "pg8000-*.dist-info", "scramp", "scramp-*.dist-info", "asn1crypto", "dateutil"} {
		found, err := filepath.Glob(filepath.Join(root, ".tools/lib/python3*/site-packages", name))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s of PyPI is missing in .tools: run `make tools` first (%v)", name, err)
		}
		if err := os.CopyFS(filepath.Join(to, filepath.Base(found[0])), os.DirFS(found[0])); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filepath.Glob(filepath.Join(root, ".tools/lib/python3*/site-packages/six.py"))
	if err != nil || len(found) == 0 {
		t.Fatalf("six of PyPI is missing in .tools: run `make tools` first (%v)", err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "six.py"), string(b))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
