package outgoing

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// holder is a function that holds a connection until it ends, and opens another then.
const holder = `
import socket
def handler(event, context):
    at = (event["host"], event["port"])
    held = socket.create_connection(at, 5)
    held.settimeout(15)
    held.sendall(b"held")
    try:
        out = "ended" if held.recv(10) == b"" else "answered"
    except TimeoutError:
        out = "open"
    except OSError as e:
        out = "ended"
    try:
        again = socket.create_connection(at, 5)
        again.sendall(b"again")
        return {"body": out, "error": "connected again" if again.recv(10) else "closed"}
    except OSError as e:
        return {"body": out, "error": type(e).__name__}
`

// silent is a server on this machine that tells what it is sent and answers nothing.
func silent(t *testing.T, host string) (at *net.TCPAddr, sent <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := make(chan string, 16)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				b := make([]byte, 64)
				for n, err := in.Read(b); err == nil; n, err = in.Read(b) {
					c <- string(b[:n])
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr), c
}

// TestWaysAreWithdrawn: a way that is taken away in the middle of an invocation ends the connection that the
// invocation holds, and lets it open no other; both are in the trail.
func TestWaysAreWithdrawn(t *testing.T) {
	s := harness.Start(t)
	host := address(t)
	tagged, inGroup := function{t, s, "tagged"}, function{t, s, "grouped"}
	tagged.createOf(holder, nil)
	inGroup.createOf(holder, nil)
	group, subnet := network(t, s)
	ec2 := func(action string, in url.Values) {
		t.Helper()
		if err := s.Client(t).Query(t.Context(), "ec2", "2016-11-15", action, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	arn := "arn:aws:lambda:" + harness.Region + ":" + harness.Account + ":function:tagged"
	rule := func(port string) url.Values {
		return url.Values{"GroupId": {group}, "IpPermissions.1.IpProtocol": {"tcp"}, "IpPermissions.1.FromPort": {port}, "IpPermissions.1.ToPort": {port},
			"IpPermissions.1.IpRanges.1.CidrIp": {host + "/32"}}
	}
	put := func(in map[string]any) {
		inGroup.call(http.MethodPut, "/2015-03-31/functions/grouped/configuration", map[string]any{"VpcConfig": in}, nil)
	}
	for _, c := range []struct {
		name, host  string
		f           function
		open, close func(port string)
	}{
		{"a tag", "127.0.0.1", tagged, func(port string) { tagged.tag(map[string]string{"bastide:egress": "127.0.0.1:" + port}) }, func(string) {
			tagged.call(http.MethodDelete, "/2017-03-31/tags/"+url.PathEscape(arn)+"?tagKeys=bastide:egress", nil, nil)
		}},
		{"a rule", host, inGroup, func(port string) {
			ec2("AuthorizeSecurityGroupEgress", rule(port))
			put(map[string]any{"SecurityGroupIds": []string{group}, "SubnetIds": []string{subnet}})
		}, func(port string) { ec2("RevokeSecurityGroupEgress", rule(port)) }},
		{"a VpcConfig", host, inGroup, func(port string) { ec2("AuthorizeSecurityGroupEgress", rule(port)) }, func(string) {
			put(map[string]any{"SecurityGroupIds": []string{}, "SubnetIds": []string{}})
		}},
	} {
		server, sent := silent(t, c.host)
		_, port, _ := net.SplitHostPort(server.String())
		c.open(port)
		got := make(chan json.RawMessage, 1)
		client := s.Client(t)
		go func() {
			var out json.RawMessage
			if err := client.REST(t.Context(), "lambda", http.MethodPost, "/2015-03-31/functions/"+c.f.name+"/invocations", map[string]any{"host": c.host, "port": server.Port}, &out); err != nil {
				out = json.RawMessage(`{"error": "not invoked"}`)
			}
			got <- out
		}()
		var early json.RawMessage
		select {
		case first := <-sent:
			if first != "held" {
				t.Errorf("%s: the server got %q", c.name, first)
			}
		case early = <-got:
			t.Fatalf("%s: no connection: %s", c.name, early)
		}
		c.close(port)
		if out := harness.Decode[visit](t, string(<-got)); out.Body != "ended" || out.Error == "connected again" || out.Error == "not invoked" {
			select {
			case again := <-sent:
				t.Errorf("%s: the server got %q", c.name, again)
			default:
			}
			t.Errorf("%s is taken away, and the function tells: %+v", c.name, out)
		}
		on := on(c.host + ":" + port)
		denied := func(r audit.Record) bool { return on(r) && strings.HasPrefix(r.ErrorCode, "AccessDenied") }
		if end := s.Recorded(t, "the end of the connection", url.Values{"eventName": {"Disconnect"}}, denied); !strings.Contains(end.ErrorMessage, "any more") {
			t.Errorf("%s: its end: %+v", c.name, end)
		}
		s.Recorded(t, "the second connection", url.Values{"eventName": {"Connect"}}, denied)
	}
	out, bad, err := s.Bastide(t, "egress", "--function", "tagged", "--output", "json")
	if err != nil {
		t.Fatal(err, bad)
	}
	for _, d := range harness.Decode[[]struct{ Connections, Refused, BytesSent int64 }](t, out) {
		if d.Connections != 1 || d.Refused != 2 || d.BytesSent != 4 {
			t.Errorf("`bastide egress` has %s", out)
		}
	}
}

// network makes a VPC with a subnet and a group that lets nothing out.
func network(t *testing.T, s *harness.Server) (group, subnet string) {
	t.Helper()
	var vpc struct {
		VpcID string `xml:"vpc>vpcId"`
	}
	var sub struct {
		ID string `xml:"subnet>subnetId"`
	}
	var g struct {
		ID string `xml:"groupId"`
	}
	ask := func(action string, in url.Values, out any) {
		t.Helper()
		if err := s.Client(t).Query(t.Context(), "ec2", "2016-11-15", action, in, out); err != nil {
			t.Fatal(action, err)
		}
	}
	ask("CreateVpc", url.Values{"CidrBlock": {"10.78.0.0/16"}}, &vpc)
	ask("CreateSubnet", url.Values{"VpcId": {vpc.VpcID}, "CidrBlock": {"10.78.1.0/24"}}, &sub)
	ask("CreateSecurityGroup", url.Values{"VpcId": {vpc.VpcID}, "GroupName": {"out"}, "GroupDescription": {"out"}}, &g)
	return g.ID, sub.ID
}
