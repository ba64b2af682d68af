package main

import (
	"fmt"
	"io"
	"time"
)

// Figure is one row: what was wanted, what Bastide did, what the peer did.
type Figure struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Target  string `json:"target,omitempty"`
	Bastide Sample `json:"bastide"`
	// Peer is what the peer of that name did with the same calls, right after.
	Peer     *Sample `json:"peer,omitempty"`
	PeerName string  `json:"peer_name,omitempty"`
	// Ratio is how many times Bastide is better than the peer: in throughput, or else in time or
	// size; 0 without a peer.
	Ratio float64 `json:"ratio,omitempty"`
	// CPURatio is the same of the processor time that a request takes.
	CPURatio float64 `json:"cpu_ratio,omitempty"`
	// Bare is the interpreter alone, on the same program without a sandbox, from exec to its end.
	Bare *Sample `json:"bare_process,omitempty"`
	Note string  `json:"note,omitempty"`
}

// Sample is one measurement; what does not apply is 0.
type Sample struct {
	Count  int     `json:"count,omitempty"`
	Failed int     `json:"failed,omitempty"`
	Best   float64 `json:"fastest_ms,omitempty"` // what other work on the machine disturbs least
	P50    float64 `json:"p50_ms,omitempty"`
	P99    float64 `json:"p99_ms,omitempty"`
	Rate   float64 `json:"per_second,omitempty"`
	CPU    float64 `json:"server_cpu_us_per_request,omitempty"`   // user and system time of the server
	Inside float64 `json:"function_cpu_us_per_request,omitempty"` // the same of the functions' sandboxes
	// LoadCPU is the same of the load, which shares the cores: it bounds the rate too.
	LoadCPU float64 `json:"load_cpu_us_per_request,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Nanos   float64 `json:"ns,omitempty"`
}

const (
	rowForm = "%-38s %-12s %-46s %-58s %s\n"
	mega    = 1 << 20
)

func header(w io.Writer) {
	fmt.Fprintf(w, rowForm, "figure", "target", "Bastide", "peer", "ratio")
}

func (f Figure) print(w io.Writer) {
	peer, ratio := "", ""
	if f.Peer != nil {
		peer, ratio = f.PeerName+": "+f.Peer.String(), fmt.Sprintf("%.1f", f.Ratio)
	}
	if f.CPURatio > 0 {
		ratio += fmt.Sprintf(" (cpu %.0f)", f.CPURatio)
	}
	if f.Bare != nil {
		peer = "bare process: " + f.Bare.String()
	}
	text := f.Bastide.String()
	if f.Note != "" {
		text = f.Note
	}
	fmt.Fprintf(w, rowForm, f.Name, f.Target, text, peer, ratio)
}

func (s Sample) String() string {
	text := ""
	add := func(form string, args ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(form, args...)
	}
	if s.Bytes > 0 {
		add("%.1f MB", float64(s.Bytes)/mega)
	}
	if s.Nanos > 0 {
		add("%.2f µs", s.Nanos/1e3)
	}
	if s.P50 > 0 {
		add("p50 %.2f p99 %.2f ms", s.P50, s.P99)
	}
	if s.Best > 0 {
		add("best %.2f", s.Best)
	}
	if s.Rate > 0 {
		add("%.0f/s", s.Rate)
	}
	if s.CPU > 0 {
		add("cpu %.0f µs", s.CPU)
		add("load %.0f µs", s.LoadCPU)
	}
	if s.Inside > 0 {
		add("inside %.0f µs", s.Inside)
	}
	if s.Failed > 0 {
		add("%d FAILED", s.Failed)
	}
	return text
}

func (f *Figure) compare() {
	if f.Peer != nil {
		f.CPURatio = f.Peer.ratio(f.Peer.CPU, f.Bastide.CPU)
	}
	switch b, m := f.Bastide, f.Peer; {
	case m == nil:
	case b.Rate > 0:
		f.Ratio = m.ratio(b.Rate, m.Rate)
	case b.P50 > 0:
		f.Ratio = m.ratio(m.P50, b.P50)
	case b.Bytes > 0:
		f.Ratio = m.ratio(float64(m.Bytes), float64(b.Bytes))
	}
}

func (Sample) ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
