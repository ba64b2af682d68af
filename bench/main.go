// Command bench measures Bastide as its users meet it: the built binary on an empty directory,
// driven by signed calls from a process of their own, beside moto_server or aws-lambda-rie where they
// have the operation. It prints a table, and JSON with -json; it never fails for being slow.
//
//	make bench
//	go run ./bench -only put,get -time 5s -peer=false
//
// Throughput and latency depend on what else the machine does, and on these machines the load
// shares the cores with the server. The ratio to the peer, measured in the same minute, and the
// processor time that the server spends on a request depend on that least.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	binary, only, jsonFile, profile, moto, riePath string
	each                                           time.Duration
	colds                                          int
	peer                                           bool
	serve                                          []string // further flags of the server
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if len(os.Args) == 2 && os.Args[1] == loadCommand {
		err = loadMain(os.Stdin, os.Stdout)
	} else {
		err = run(ctx, parse())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/bastide", "the binary to measure, as make build leaves it")
	flag.StringVar(&o.only, "only", "", "measure only the figures whose key begins with one of these, separated by commas")
	flag.StringVar(&o.jsonFile, "json", "", "also write the figures to this file")
	flag.StringVar(&o.profile, "profile", "", "let the server leave its processor and memory profiles in this directory")
	flag.StringVar(&o.moto, "moto", "", "moto_server (default: .tools/bin, then PATH)")
	flag.StringVar(&o.riePath, "rie", rieFetched, "aws-lambda-rie, as make bench fetches it; empty: not measured beside")
	flag.DurationVar(&o.each, "time", 3*time.Second, "how long to load each figure")
	flag.IntVar(&o.colds, "colds", 40, "how many cold starts of each runtime")
	flag.BoolVar(&o.peer, "peer", true, "measure moto_server and aws-lambda-rie beside")
	flag.Parse()
	o.serve = []string{"--pool", "off"} // figures of the pool are taken with one
	return o
}

func run(ctx context.Context, o options) error {
	b := &bench{options: o, command: "go run ./bench " + strings.Join(os.Args[1:], " "), printed: os.Stdout}
	defer b.stop()
	fmt.Printf("%s, %d processors, %s\n\n", runtime.Version(), runtime.NumCPU(), loadAverage())
	if err := b.measure(ctx); err != nil {
		return err
	}
	if o.jsonFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(map[string]any{"command": b.command, "processors": runtime.NumCPU(), "go": runtime.Version(),
		"figures": b.figures}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.jsonFile, append(text, '\n'), 0o644)
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	return "load " + strings.Join(strings.Fields(string(text))[:3], " ")
}

// wanted reports whether -only lets a figure through, or with a key that ends with "-" one of the group.
func (o options) wanted(key string) bool {
	if o.only == "" {
		return true
	}
	for _, prefix := range strings.Split(o.only, ",") {
		if strings.HasPrefix(key, prefix) || strings.HasSuffix(key, "-") && strings.HasPrefix(prefix, key) {
			return true
		}
	}
	return false
}

var nsPerOp = regexp.MustCompile(`(\S+)\s+\d+\s+([0-9.]+) ns/op`)
