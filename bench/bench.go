package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// bench is one run.
type bench struct {
	options
	command string
	printed io.Writer
	data    string
	bastide *server
	peers   *server // moto_server, or nil
	rie     *server // or nil
	figures []Figure
}

func (b *bench) stop() {
	for _, s := range []*server{b.bastide, b.peers, b.rie} {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	if b.data != "" {
		os.RemoveAll(b.data)
	}
}

// measure takes every figure that is wanted, in order.
func (b *bench) measure(ctx context.Context) error {
	header(b.printed)
	if err := b.start(ctx); err != nil {
		return err
	}
	if err := b.idle(); err != nil {
		return err
	}
	if b.wanted("decide") {
		if err := b.decide(ctx); err != nil {
			return err
		}
	}
	for _, c := range cases() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !b.wanted(c.key) {
			continue
		}
		if err := b.take(ctx, c); err != nil {
			return err
		}
	}
	return b.pooled(ctx)
}

func (b *bench) add(f Figure) {
	f.compare()
	b.figures = append(b.figures, f)
	f.print(b.printed)
}

// start starts both servers: Bastide on an empty directory, and a few times on what is there.
func (b *bench) start(ctx context.Context) error {
	var err error
	if b.data, err = os.MkdirTemp("", "bastide-bench-"); err != nil {
		return err
	}
	if b.bastide, err = startBastide(ctx, b.options, b.data); err != nil {
		return err
	}
	first := Figure{Key: "start", Name: "start to first answer, empty directory", Target: "≤ 100 ms", Bastide: Sample{P50: ms(b.bastide.started), P99: ms(b.bastide.started)}}
	if path := b.motoPath(); b.peer && path != "" {
		if b.peers, err = startMoto(ctx, path); err != nil {
			return err
		}
		first.PeerName, first.Peer = motoName, &Sample{P50: ms(b.peers.started), P99: ms(b.peers.started)}
	}
	if !b.wanted("start") {
		return nil
	}
	b.add(first)
	again := first
	again.Name, again.Bastide, again.Key = "start to first answer, again", Sample{}, "start-again"
	var all []time.Duration
	for range 5 {
		if err := b.bastide.stop(); err != nil {
			return err
		}
		if b.bastide, err = startBastide(ctx, b.options, b.data); err != nil {
			return err
		}
		all = append(all, b.bastide.started)
	}
	again.Bastide = sampleOf(all)
	b.add(again)
	return nil
}

func (b *bench) motoPath() string {
	if b.moto != "" {
		return b.moto
	}
	if path := ".tools/bin/moto_server"; exists(path) {
		return path
	}
	path, err := exec.LookPath("moto_server")
	if err != nil && b.peer {
		fmt.Fprintln(os.Stderr, "bench: no moto_server (pip install 'moto[server]'): measuring Bastide alone")
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// idle is what the binary and a server at rest take.
func (b *bench) idle() error {
	if b.wanted("size") {
		info, err := os.Stat(b.binary)
		if err != nil {
			return err
		}
		b.add(Figure{Key: "size", Name: "binary", Target: "≤ 60 MB", Bastide: Sample{Bytes: info.Size()}})
	}
	if !b.wanted("memory") {
		return nil
	}
	time.Sleep(time.Second) // idle means that start-up is over
	rows := []Figure{{Key: "memory-rss", Name: "idle memory, resident", Target: "≤ 60 MB"}, {Key: "memory-pss", Name: "idle memory, proportional"}}
	var err error
	if rows[0].Bastide.Bytes, rows[1].Bastide.Bytes, err = b.bastide.memory(); err != nil {
		return err
	}
	if b.peers != nil {
		rss, pss, err := b.peers.memory()
		if err != nil {
			return err
		}
		rows[0].PeerName, rows[0].Peer = motoName, &Sample{Bytes: rss}
		rows[1].PeerName, rows[1].Peer = motoName, &Sample{Bytes: pss}
	}
	b.add(rows[0])
	b.add(rows[1])
	return nil
}

// decide runs the policy engine's own benchmark.
func (b *bench) decide(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkDecideFivePoliciesFortyStatements$", "./internal/policy")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the policy benchmark: %w: %s", err, out)
	}
	found := nsPerOp.FindSubmatch(out)
	if found == nil {
		return errors.New("the policy benchmark printed no time")
	}
	ns, err := strconv.ParseFloat(string(found[2]), 64)
	b.add(Figure{Key: "decide", Name: "decision, 5 policies of 40 statements", Target: "≤ 2 µs", Bastide: Sample{Nanos: ns}})
	return err
}

// take measures one case on Bastide, then on the peer.
func (b *bench) take(ctx context.Context, c testCase) error {
	f := Figure{Key: c.key, Name: c.name, Target: c.target}
	var err error
	if f.Bastide, err = b.sample(ctx, c, b.bastide); err != nil {
		if missing, ok := errors.AsType[*unbuiltError](err); ok {
			f.Note = missing.Error()
			b.add(f)
			return nil
		}
		return err
	}
	if c.bare != nil {
		if f.Bare, err = b.bareProcess(ctx, *c.bare); err != nil {
			return err
		}
	}
	peer, err := b.peerOf(ctx, c)
	if err != nil {
		return err
	}
	if peer != nil {
		s, err := b.sample(ctx, c, peer)
		if err != nil {
			return err
		}
		f.PeerName, f.Peer = peer.name, &s
	}
	b.add(f)
	return nil
}

// peerOf is who else has the operation, where it is here.
func (b *bench) peerOf(ctx context.Context, c testCase) (*server, error) {
	if !b.peer {
		return nil, nil
	}
	switch c.peer {
	case motoName:
		return b.peers, nil
	case rieName:
		if b.rie == nil && b.riePath != "" {
			var err error
			if b.rie, err = b.startRIE(ctx); err != nil {
				return nil, err
			}
		}
		return b.rie, nil
	}
	return nil, nil
}

func (b *bench) sample(ctx context.Context, c testCase, s *server) (Sample, error) {
	plan, err := c.plan(b, s)
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w", c.key, err)
	}
	plan.Address, plan.Keys = s.address, s.keys
	if plan.Callers == 0 {
		plan.Callers = 1
	}
	if plan.For == 0 {
		plan.For = b.each
	}
	before, inside := s.spent(), s.inside()
	r, err := load(ctx, plan)
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w", c.key, err)
	}
	spent, inside := s.spent()-before, s.inside()-inside
	if r.Failed > 0 {
		fmt.Fprintf(os.Stderr, "bench: %s on %s: %d calls failed: %s\n", c.key, s.name, r.Failed, r.Failure)
	}
	out := Sample{Count: r.Count, Failed: r.Failed, P50: ms(r.P50), P99: ms(r.P99)}
	if c.single {
		out.Best = ms(r.Best)
		return out, nil // the pauses between are no part of a rate
	}
	if r.Count > 0 {
		out.Rate = float64(r.Count) / r.Elapsed.Seconds()
		out.CPU = float64(spent) / float64(time.Microsecond) / float64(r.Count)
		out.LoadCPU = float64(r.Spent) / float64(time.Microsecond) / float64(r.Count)
		if c.inside {
			out.Inside = float64(inside) / float64(time.Microsecond) / float64(r.Count)
		}
	}
	return out, nil
}

func sampleOf(all []time.Duration) Sample {
	p50, p99 := quantiles(all)
	return Sample{Count: len(all), P50: ms(p50), P99: ms(p99), Best: ms(slices.Min(all))}
}
