package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/bastide-cloud/bastide/internal/app/client"
)

// Remote runs commands against the server of a data directory, by signed calls.
type Remote struct {
	*client.Client
	Term Terminal
	run  Run
	data string
	// packed are the marks of what was packaged last, before it was uploaded and deployed: a file that
	// is saved meanwhile has changed.
	packed marks
}

// Connect finds the server and the administrator's keys. Error: *NotRunningError.
func Connect(data, region string, t Terminal) (*Remote, error) {
	run, err := ReadRun(data)
	if err != nil {
		return nil, err
	}
	creds, err := ReadCredentials(data)
	if err != nil {
		return nil, err
	}
	return &Remote{Client: client.New(run.Address, region, creds.Signing()), Term: t, run: run, data: data}, nil
}

// Env prints what points an AWS client here, in one of the formats shell, json and profile.
func Env(data, region, format string, t Terminal) error {
	run, err := ReadRun(data)
	if err != nil {
		return err
	}
	creds, err := ReadCredentials(data)
	if err != nil {
		return err
	}
	if region == "" {
		region = run.Region
	}
	vars := [][2]string{{"AWS_ENDPOINT_URL", run.Address}, {"AWS_ACCESS_KEY_ID", creds.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", creds.SecretAccessKey}, {"AWS_DEFAULT_REGION", region}}
	switch format {
	case "json":
		m := map[string]string{}
		for _, v := range vars {
			m[v[0]] = v[1]
		}
		return t.Print(m)
	case "profile":
		return t.Line("[profile bastide]\nregion = %s\nendpoint_url = %s\naws_access_key_id = %s\naws_secret_access_key = %s",
			region, run.Address, creds.AccessKeyID, creds.SecretAccessKey)
	case "shell":
		for _, v := range vars {
			if err := t.Line("export %s=%s", v[0], v[1]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("--format %q is not shell, json or profile", format)
}

// Why explains a refusal.
func (r *Remote) Why(ctx context.Context, requestID string) error {
	var out struct{ RequestId, Record, Explanation string }
	err := r.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/requests/"+url.PathEscape(requestID), nil, &out)
	if err != nil {
		return err
	}
	if r.Term.JSON {
		return r.Term.Print(map[string]json.RawMessage{"record": raw(out.Record), "explanation": raw(out.Explanation)})
	}
	var rec record
	if err := json.Unmarshal([]byte(out.Record), &rec); err != nil {
		return err
	}
	if err := r.Term.Line("%s", rec.line(r.Term)); err != nil {
		return err
	}
	if out.Explanation == "" {
		return r.Term.Line("  %s", plain(rec.outcome()))
	}
	return r.explain(out.Explanation)
}

func raw(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

// Acknowledgement is a route to open, or to close again; without a route all are listed.
type Acknowledgement struct {
	Route, Reason string
	Revoke        bool
}

// Route is one application route as the server lists it.
type Route struct {
	Route, Authorization, By, Reason, Url, Stack, Target string
	Acknowledged                                         bool
}

// Acknowledge opens a route by name, or lists them.
func (r *Remote) Acknowledge(ctx context.Context, a Acknowledgement) error {
	const path = "/_bastide/v1/routes/acknowledgements"
	switch {
	case a.Route == "" && a.Revoke:
		return fmt.Errorf("--revoke wants the route")
	case a.Route == "":
		return r.listRoutes(ctx)
	case a.Revoke:
		if err := r.REST(ctx, "bastide", http.MethodDelete, path+"?route="+url.QueryEscape(a.Route), nil, nil); err != nil {
			return err
		}
		return r.Term.Line("%s answers this machine only", a.Route)
	}
	var out struct{ Route Route }
	if err := r.REST(ctx, "bastide", http.MethodPost, path, map[string]string{"Route": a.Route, "Reason": a.Reason}, &out); err != nil {
		return err
	}
	if r.Term.JSON {
		return r.Term.Print(out.Route)
	}
	return r.Term.Line("%s is open without authorisation, acknowledged by %s", out.Route.Route, out.Route.By)
}

// Routes are all routes of applications.
func (r *Remote) Routes(ctx context.Context) ([]Route, error) {
	var out struct{ Routes []Route }
	err := r.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/routes", nil, &out)
	return out.Routes, err
}

func (r *Remote) listRoutes(ctx context.Context) error {
	routes, err := r.Routes(ctx)
	if err != nil {
		return err
	}
	if r.Term.JSON {
		return r.Term.Print(routes)
	}
	for _, route := range routes {
		state := r.Term.paint(green, route.Authorization)
		switch {
		case route.Authorization == "NONE" && route.Acknowledged:
			state = r.Term.paint(yellow, "open, acknowledged by "+route.By)
		case route.Authorization == "NONE":
			state = r.Term.paint(yellow, "open to this machine only")
		}
		if err := r.Term.Line("%-50s %s", route.Route, state); err != nil {
			return err
		}
	}
	return nil
}

// Backup writes everything that the server keeps to a file.
func (r *Remote) Backup(ctx context.Context, file string) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w (nothing was kept of %s)", err, file)
			_ = os.Remove(file)
		}
	}()
	defer f.Close()
	req, err := http.NewRequest(http.MethodPost, r.Endpoint+"/_bastide/v1/backup", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := r.Do(ctx, "bastide", req, []byte{})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.Copy(f, answer.Body)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return r.Term.Line("%s: %d bytes; the root key is not in it", file, n)
}

// payloadOf reads an invocation's payload: JSON, @FILE or @- for standard input.
func payloadOf(s string) ([]byte, error) {
	name, ok := strings.CutPrefix(s, "@")
	switch {
	case !ok:
		return []byte(s), nil
	case name == "-":
		return io.ReadAll(io.LimitReader(os.Stdin, 7<<20))
	}
	return os.ReadFile(name)
}
