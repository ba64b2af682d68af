package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/pool"
	"github.com/bastide-cloud/bastide/internal/service/bastide"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// Status is what the server says of itself.
func (s *Server) Status(context.Context) (bastide.Status, error) {
	st := bastide.Status{Version: s.version, Account: s.cfg.Account, StartedAt: s.started, OpenCredentials: s.cfg.OpenCredentials, Waived: s.cfg.waived(),
		Goroutines: runtime.NumGoroutine()}
	for _, u := range s.rooms.units {
		st.Services = append(st.Services, u.Model.ID)
	}
	st.Services = slices.Compact(st.Services) // one service may have two tables
	st.Instances, st.Idle = s.rooms.instances()
	st.Pool = poolStatus(s.rooms.pool())
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return st, fmt.Errorf("status: %w", err)
	}
	st.Descriptors = len(open) - 1 // not the one that was opened to look
	st.Resident, err = resident()
	return st, err
}

// resident is the process's memory in bytes (proc(5), statm: in pages).
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("status: /proc/self/statm says %q", text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func poolStatus(p pool.Stats) bastide.Pool {
	out := bastide.Pool{Size: p.Size, Ready: p.Ready, Starting: p.Starting, Memory: p.MemoryBytes, Held: p.Held,
		Hits: p.Hits, Misses: p.Misses, Bypasses: p.Bypasses, Died: p.Died}
	for _, k := range p.Kinds {
		out.Kinds = append(out.Kinds, bastide.PoolKind{Name: k.Name, Ready: k.Ready, Starting: k.Starting, Held: k.Held, Failure: k.Failure})
	}
	return out
}

// poolAnswer is the pool as GetStatus answers it.
type poolAnswer struct {
	Size        int   `json:"size"`
	MemoryBytes int64 `json:"memoryBytes"`
	Ready       int   `json:"ready"`
	Starting    int   `json:"starting"`
	HeldBytes   int64 `json:"heldBytes"`
	Hits        int64 `json:"hits"`
	Misses      int64 `json:"misses"`
	Bypasses    int64 `json:"bypasses"`
	Died        int64 `json:"died"`
	Kinds       []struct {
		Name      string `json:"name"`
		Ready     int    `json:"ready"`
		Starting  int    `json:"starting"`
		HeldBytes int64  `json:"heldBytes"`
		Failure   string `json:"failure,omitempty"`
	} `json:"kinds"`
}

// words say it in one line, and in one more for each kind that cannot be made.
func (p poolAnswer) words() []string {
	if p.Size == 0 {
		return []string{"off"}
	}
	lines := []string{fmt.Sprintf("%d of %d sandboxes ready, %d MB; %s from it, %d found none, %d could not use it",
		p.Ready, p.Size, p.HeldBytes>>20, lambda.Number(p.Hits, "start"), p.Misses, p.Bypasses)}
	for _, k := range p.Kinds {
		if k.Failure != "" {
			lines = append(lines, k.Name+": "+k.Failure)
		}
	}
	return lines
}

// Status prints what the server says of itself.
func (r *Remote) Status(ctx context.Context) error {
	var st struct {
		Version, Account                                  string
		StartedAt                                         float64 // seconds since 1970
		OpenCredentials                                   bool
		Services, Waived                                  []string
		Goroutines, Descriptors, Instances, InstancesIdle int
		ResidentBytes                                     int64
		Pool                                              poolAnswer
	}
	if err := r.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/status", nil, &st); err != nil {
		return err
	}
	if r.Term.JSON {
		return r.Term.Print(map[string]any{"address": r.run.Address, "version": st.Version, "account": st.Account,
			"startedAt": time.Unix(int64(st.StartedAt), 0).UTC(), "openCredentials": st.OpenCredentials, "services": st.Services, "waived": st.Waived,
			"goroutines": st.Goroutines, "descriptors": st.Descriptors, "residentBytes": st.ResidentBytes,
			"instances": st.Instances, "instancesIdle": st.InstancesIdle, "pool": st.Pool})
	}
	lines := [][2]string{
		{"address", r.run.Address}, {"version", st.Version}, {"account", st.Account},
		{"up since", time.Unix(int64(st.StartedAt), 0).UTC().Format(time.RFC3339)},
		{"services", strings.Join(st.Services, ", ")},
		{"functions", fmt.Sprintf("%s, %d of them idle", lambda.Number(int64(st.Instances), "instance"), st.InstancesIdle)},
		{"process", fmt.Sprintf("%d MB, %d descriptors, %d goroutines", st.ResidentBytes>>20, st.Descriptors, st.Goroutines)},
	}
	for _, l := range st.Pool.words() {
		lines = append(lines, [2]string{"pool", plain(l)})
	}
	if len(st.Waived) > 0 {
		lines = append(lines, [2]string{"waived", r.Term.paint(yellow, strings.Join(st.Waived, ", "))})
	}
	if st.OpenCredentials {
		lines = append(lines, [2]string{"warning", r.Term.paint(red, "open credentials: every key is the administrator")})
	}
	for _, l := range lines {
		if err := r.Term.Line("%-10s %s", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}
