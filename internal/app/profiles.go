package app

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	bastideapi "github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// profiles shows Bastide's own service what Lambda has seen of functions.
type profiles struct {
	s       *Server
	service *lambda.Service
}

// Profiles implements bastide.Functions.
func (p profiles) Profiles(c *gate.Call, name string) ([]bastideapi.FunctionProfile, error) {
	reports, err := p.service.Reports(c.Context(), p.s.gate, c.Account(), c.Region(), name)
	var out []bastideapi.FunctionProfile
	for _, r := range reports {
		out = append(out, public(r))
	}
	return out, err
}

func public(r lambda.Report) bastideapi.FunctionProfile {
	f, st := r.Files, r.Stats
	out := bastideapi.FunctionProfile{FunctionName: &r.Name, FunctionArn: &r.ARN, StartsProcesses: &r.Processes, Programs: r.Programs, Hosts: r.Hosts,
		WritesTmp: &r.Tmp, FilesKnown: &f.Known, FilesHeld: &f.Held, Files: new(int32(f.Files)), FilesUsed: new(int32(f.Used)), Bytes: &f.Bytes,
		BytesUsed: &f.Spent, Invocations: &st.Invocations, Starts: &st.Starts, Connections: &st.Connections}
	if r.Mode != "" {
		out.Mode = new(string(r.Mode))
	}
	if !r.Since.IsZero() {
		out.Since = &r.Since
	}
	if st.Starts > 0 {
		out.StartMilliseconds = new((st.InitTime / time.Duration(st.Starts)).Milliseconds())
		out.LoadMilliseconds = new((st.LoadTime / time.Duration(st.Starts)).Milliseconds())
	}
	if r.Unpack > 0 {
		out.UnpackMilliseconds = new(r.Unpack.Milliseconds())
	}
	out.TmpPeakBytes, out.TmpLeftBytes, out.LogsDroppedRecords, out.LogsDroppedBytes = &st.TmpMost, &st.TmpLeft, &st.DroppedRecords, &st.DroppedBytes
	for _, host := range slices.Sorted(maps.Keys(st.Hosts)) {
		out.HostConnections = append(out.HostConnections, bastideapi.HostConnections{Host: &host, Connections: new(st.Hosts[host])})
	}
	for _, u := range f.Unused {
		out.Unused = append(out.Unused, bastideapi.PackagePart{Path: &u.Path, Bytes: &u.Bytes})
	}
	for _, a := range r.Advice {
		out.Advice = append(out.Advice, bastideapi.FunctionAdvice{Finding: &a.Finding, Detail: &a.Detail, Remedy: &a.Remedy})
	}
	return out
}

// behaviour is a function's profile, as the server tells it.
type behaviour struct {
	FunctionName, Mode                     string
	StartsProcesses, WritesTmp             bool
	Programs, Hosts                        []string
	FilesKnown, FilesHeld                  bool
	Files, FilesUsed                       int
	Bytes, BytesUsed                       int64
	Invocations, Starts, StartMilliseconds int64
	LoadMilliseconds, UnpackMilliseconds   int64
	TmpPeakBytes, TmpLeftBytes             int64
	Unused                                 []struct {
		Path  string
		Bytes int64
	}
	Advice []struct{ Finding, Detail, Remedy string }
}

func (r *Remote) behaviours(ctx context.Context, name string) (rows []behaviour, whole map[string]any, err error) {
	path := "/_bastide/v1/functions/profiles"
	if name != "" {
		path += "?function=" + url.QueryEscape(name)
	}
	if r.Term.JSON {
		return nil, whole, r.REST(ctx, "bastide", http.MethodGet, path, nil, &whole)
	}
	var out struct{ Profiles []behaviour }
	err = r.REST(ctx, "bastide", http.MethodGet, path, nil, &out)
	return out.Profiles, nil, err
}

// Profile shows a function's runtime profile, or all functions', after setting its mode where one is
// given.
func (r *Remote) Profile(ctx context.Context, name, mode string) error {
	if mode != "" {
		var got struct{ FunctionArn string }
		if err := r.REST(ctx, "lambda", http.MethodGet, "/2015-03-31/functions/"+url.PathEscape(name)+"/configuration", nil, &got); err != nil {
			return err
		}
		body := map[string]any{"Tags": map[string]string{"bastide:profile": mode}}
		if err := r.REST(ctx, "lambda", http.MethodPost, "/2017-03-31/tags/"+url.PathEscape(got.FunctionArn), body, nil); err != nil {
			return err
		}
	}
	rows, whole, err := r.behaviours(ctx, name)
	if err != nil {
		return err
	}
	if r.Term.JSON {
		return r.printProfiles(whole)
	}
	if len(rows) == 0 {
		return r.Term.Line("there are no functions")
	}
	for _, p := range rows {
		if err := p.print(r.Term); err != nil {
			return err
		}
	}
	return nil
}

func (p behaviour) print(t Terminal) error {
	mode := p.Mode
	if mode == "" {
		mode = "none; bastide profile " + p.FunctionName + " --mode learn begins one"
	}
	some := func(list []string, none string) string {
		if len(list) == 0 {
			return none
		}
		return strings.Join(list, ", ")
	}
	lines := [][2]string{{"profile", mode}}
	if p.Mode != "" {
		processes := "none"
		if p.StartsProcesses {
			processes = some(p.Programs, "forks of itself")
		}
		tmp, held := "not written", ""
		if p.WritesTmp {
			tmp = "written"
		}
		if p.FilesHeld {
			held = "; no other may be opened"
			if p.Mode == string(fleet.Report) {
				held = "; others are reported"
			}
		} else if p.Mode != string(fleet.Learn) {
			held = "; learned anew, as the package has changed: set the mode to learn, then back, to hold it to them"
		}
		lines = append(lines, [2]string{"processes", processes}, [2]string{"hosts", some(p.Hosts, "none")}, [2]string{"/tmp", tmp},
			[2]string{"files", fmt.Sprintf("%d of %d were opened%s", p.FilesUsed, p.Files, held)})
	}
	if err := t.Line("%s", p.FunctionName); err != nil {
		return err
	}
	for _, l := range lines {
		if err := t.Line("  %-10s %s", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

// printProfiles prints profiles as JSON: a list, with no list of unused files where that is not known.
func (r *Remote) printProfiles(whole map[string]any) error {
	list, _ := whole["Profiles"].([]any)
	for _, v := range list {
		if p, ok := v.(map[string]any); ok && p["FilesKnown"] != true {
			delete(p, "Unused")
		}
	}
	if list == nil {
		list = []any{}
	}
	return r.Term.Print(lowerCamel(list))
}

// lowerCamel is a value of JSON whose names begin as the command line's do; the API's begin with a capital.
func lowerCamel(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = lowerCamel(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[strings.ToLower(name[:1])+name[1:]] = lowerCamel(value)
		}
		return out
	}
	return v
}

// measured prints the figures that advice comes from.
func (p behaviour) measured(t Terminal) error {
	line := p.FunctionName + ": " + lambda.Number(p.Invocations, "call")
	if p.Starts > 0 {
		line += fmt.Sprintf(", %s of %d ms, %d ms of it until the handler was loaded", lambda.Number(p.Starts, "start"), p.StartMilliseconds, p.LoadMilliseconds)
	}
	if p.Files > 0 {
		line += "; a package of " + lambda.Size(p.Bytes) + " in " + lambda.Number(int64(p.Files), "file")
		if p.UnpackMilliseconds > 0 {
			line += fmt.Sprintf(", unpacked in %d ms", p.UnpackMilliseconds)
		}
	}
	if p.TmpPeakBytes > 0 {
		line += "; up to " + lambda.Size(p.TmpPeakBytes) + " in /tmp"
	}
	if err := t.Line("%s", line); err != nil || !p.FilesKnown || len(p.Unused) == 0 {
		return err
	}
	if err := t.Line("  never opened:"); err != nil {
		return err
	}
	for _, u := range p.Unused {
		if err := t.Line("    %9s  %3d %%  %s", lambda.Size(u.Bytes), u.Bytes*100/max(p.Bytes, 1), plain(u.Path)); err != nil {
			return err
		}
	}
	return nil
}

// DoctorFunctions prints what to better in functions, from what was seen of them.
func (r *Remote) DoctorFunctions(ctx context.Context) error {
	rows, whole, err := r.behaviours(ctx, "")
	if err != nil {
		return err
	}
	if r.Term.JSON {
		return r.printProfiles(whole)
	}
	if len(rows) == 0 {
		return r.Term.Line("there are no functions")
	}
	for _, p := range rows {
		if err := p.measured(r.Term); err != nil {
			return err
		}
		for _, a := range p.Advice {
			if err := r.Term.Line("  %s: %s\n    %s", r.Term.paint(yellow, a.Finding), a.Detail, a.Remedy); err != nil {
				return err
			}
		}
		if !p.FilesKnown {
			if err := r.Term.Line("  which of its files it loads is not known; bastide profile %s --mode learn finds out", p.FunctionName); err != nil {
				return err
			}
		}
	}
	return nil
}
