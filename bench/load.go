package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// loadCommand is how the program starts itself as the load.
const loadCommand = "-load-child-"

// Plan is what the load is to do: callers that each make one call after another.
type Plan struct {
	Address string
	Keys    Keys
	Request Request
	Callers int
	For     time.Duration
	Limit   int // calls in all, where positive
	First   int // the first number for {n}
	Of      int // numbers go around after so many, where positive
	// Before is made ahead of every call and not timed; the answer to Until, asked again and
	// again, then contains Sign. So a cold start is forced for each call.
	Before, Until *Request
	Sign          string
	Pause         time.Duration // before each timed call
}

// Result is what came of a Plan.
type Result struct {
	Count, Failed int
	Best          time.Duration
	P50, P99      time.Duration
	Elapsed       time.Duration
	Spent         time.Duration // of processor, by the load itself
	Failure       string        // the first one's answer
}

// load runs a plan in a process of its own, so that the load's garbage and locks are not the server's.
func load(ctx context.Context, p Plan) (Result, error) {
	var r Result
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, loadCommand)
	// One processor is enough for some 20,000 signed calls a second and leaves the server the rest.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(plan), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("the load: %w", err)
	}
	err = json.Unmarshal(out, &r)
	r.Spent = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, err
}

func loadMain(in io.Reader, out io.Writer) error {
	var p Plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return err
	}
	r, err := p.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// run makes the calls.
func (p Plan) run() (Result, error) {
	callers := make([]*caller, p.Callers)
	for i := range callers {
		c, err := dial(p.Address, p.Keys)
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		callers[i] = &caller{conn: c, plan: &p, n: p.First + i}
	}
	start := time.Now()
	end := start.Add(p.For)
	var wg sync.WaitGroup
	for i, c := range callers {
		share := 0
		if p.Limit > 0 {
			share = (p.Limit + len(callers) - 1 - i) / len(callers)
		}
		wg.Go(func() { c.run(end, share) })
	}
	wg.Wait()
	r := Result{Elapsed: time.Since(start)}
	var all []time.Duration
	for _, c := range callers {
		all = append(all, c.took...)
		r.Failed += c.failed
		if r.Failure == "" {
			r.Failure = c.failure
		}
	}
	r.Count = len(all)
	r.P50, r.P99 = quantiles(all)
	if r.Count > 0 {
		r.Best = all[0]
	}
	return r, nil
}

// quantiles sorts all and gives its median and the value that one in a hundred exceeds.
func quantiles(all []time.Duration) (p50, p99 time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[min(len(all)-1, len(all)*99/100)]
}

// caller is one of the load's callers.
type caller struct {
	conn    *conn
	plan    *Plan
	n       int
	took    []time.Duration
	failed  int
	failure string
}

func (c *caller) run(end time.Time, share int) {
	for made := 0; (share == 0 || made < share) && time.Now().Before(end); made++ {
		n := c.n
		if c.plan.Of > 0 {
			n %= c.plan.Of
		}
		c.n += c.plan.Callers
		if err := c.prepare(n, end); err != nil {
			c.fail(err.Error())
			return
		}
		start := time.Now()
		status, answer, err := c.conn.do(c.plan.Request, n)
		took := time.Since(start)
		switch {
		case err != nil:
			c.fail(err.Error())
			return // the connection is gone
		case status >= 300:
			c.fail(fmt.Sprintf("%d %s", status, answer[:min(len(answer), 300)]))
		default:
			c.took = append(c.took, took)
		}
	}
}

func (c *caller) fail(why string) {
	c.failed++
	if c.failure == "" {
		c.failure = why
	}
}

// prepare makes the plan's Before and waits for its Until.
func (c *caller) prepare(n int, end time.Time) error {
	if c.plan.Before != nil {
		if status, answer, err := c.conn.do(*c.plan.Before, n); err != nil || status >= 300 {
			return fmt.Errorf("preparing: %d %s %v", status, answer, err)
		}
	}
	if c.plan.Until != nil {
		if err := c.conn.until(*c.plan.Until, c.plan.Sign, end); err != nil {
			return err
		}
	}
	time.Sleep(c.plan.Pause)
	return nil
}

// until asks r until its answer contains sign.
func (c *conn) until(r Request, sign string, end time.Time) error {
	for {
		status, answer, err := c.do(r, 0)
		if err != nil {
			return err
		}
		if status < 300 && bytes.Contains(answer, []byte(sign)) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("still waiting for %s: %d %s", sign, status, answer)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
