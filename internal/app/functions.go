package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// LogQuery selects functions' output.
type LogQuery struct {
	Name   string // a function, a log group, or "" for every function
	Follow bool
	Since  time.Duration
	Filter string
}

// pollEvery is how often following output asks for what is new.
const pollEvery = 300 * time.Millisecond

type logEvent struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	EventID       string `json:"eventId"`
}

// Logs prints functions' output, oldest first, and with Follow goes on until the context ends.
func (r *Remote) Logs(ctx context.Context, q LogQuery) error {
	start := time.Time{}
	if q.Since > 0 {
		start = time.Now().Add(-q.Since)
	} else if q.Follow {
		start = time.Now()
	}
	seen := map[string]int64{}
	for {
		groups, err := r.logGroups(ctx, q.Name)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := r.printLogs(ctx, g, start, q.Filter, seen, len(groups) > 1); err != nil {
				return err
			}
		}
		if !q.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollEvery):
		}
		forget(seen, &start)
	}
}

// forget drops events that are too old to be given again, so that following stays small.
func forget(seen map[string]int64, start *time.Time) {
	const window = 10 * time.Second
	from := time.Now().Add(-window)
	if start.Before(from) {
		*start = from
	}
	for id, at := range seen {
		if at < from.UnixMilli() {
			delete(seen, id)
		}
	}
}

func (r *Remote) logGroups(ctx context.Context, name string) ([]string, error) {
	if strings.HasPrefix(name, "/") {
		return []string{name}, nil
	}
	var out struct {
		LogGroups []struct {
			LogGroupName string `json:"logGroupName"`
		} `json:"logGroups"`
	}
	err := r.JSON(ctx, "logs", "Logs_20140328.DescribeLogGroups", map[string]string{"logGroupNamePrefix": "/aws/lambda/" + name}, &out)
	var names []string
	for _, g := range out.LogGroups {
		names = append(names, g.LogGroupName)
	}
	return names, err
}

func (r *Remote) printLogs(ctx context.Context, group string, from time.Time, filter string, seen map[string]int64, named bool) error {
	in := map[string]any{"logGroupName": group, "limit": 10000}
	if !from.IsZero() {
		in["startTime"] = from.UnixMilli()
	}
	if filter != "" {
		in["filterPattern"] = `"` + strings.ReplaceAll(filter, `"`, `\"`) + `"`
	}
	for {
		var out struct {
			Events    []logEvent `json:"events"`
			NextToken string     `json:"nextToken"`
		}
		if err := r.JSON(ctx, "logs", "Logs_20140328.FilterLogEvents", in, &out); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, e := range out.Events {
			if _, ok := seen[group+e.EventID]; ok {
				continue
			}
			seen[group+e.EventID] = e.Timestamp
			if err := r.logLine(group, e, named); err != nil {
				return err
			}
		}
		if out.NextToken == "" {
			return nil
		}
		in["nextToken"] = out.NextToken
	}
}

func (r *Remote) logLine(group string, e logEvent, named bool) error {
	if r.Term.JSON {
		return r.Term.Print(map[string]any{"logGroup": group, "logStream": e.LogStreamName, "timestamp": e.Timestamp, "message": e.Message})
	}
	prefix := r.Term.paint(faint, time.UnixMilli(e.Timestamp).Format("15:04:05.000"))
	if named {
		prefix += " " + r.Term.paint(bold, strings.TrimPrefix(group, "/aws/lambda/"))
	}
	for _, l := range strings.Split(strings.TrimRight(e.Message, "\n"), "\n") {
		if err := r.Term.Line("%s %s", prefix, plain(l)); err != nil {
			return err
		}
	}
	return nil
}

// Invocation is a call of a function from the command line.
type Invocation struct {
	Function, Qualifier string
	Payload             string // JSON, @FILE or @-
	Event               bool   // asynchronously
}

// Invoke calls a function and prints its output and its answer; a function error ends the process
// with status 1.
func (r *Remote) Invoke(ctx context.Context, q Invocation) error {
	body, err := payloadOf(q.Payload)
	if err != nil {
		return err
	}
	if !json.Valid(body) {
		return errors.New("the payload is not JSON")
	}
	path := "/2015-03-31/functions/" + url.PathEscape(q.Function) + "/invocations"
	if q.Qualifier != "" {
		path += "?Qualifier=" + url.QueryEscape(q.Qualifier)
	}
	req, err := http.NewRequest(http.MethodPost, r.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if q.Event {
		req.Header.Set("X-Amz-Invocation-Type", "Event")
	} else {
		req.Header.Set("X-Amz-Log-Type", "Tail")
	}
	answer, err := r.Do(ctx, "lambda", req, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	out, err := io.ReadAll(io.LimitReader(answer.Body, 8<<20))
	if err != nil {
		return err
	}
	if tail, err := base64.StdEncoding.DecodeString(answer.Header.Get("X-Amz-Log-Result")); err == nil && !r.Term.JSON {
		for l := range strings.Lines(string(tail)) {
			r.Term.Progress("%s", plain(strings.TrimRight(l, "\n")))
		}
	}
	if q.Event {
		return r.Term.Line("accepted, request %s", answer.Header.Get("X-Amzn-Requestid"))
	}
	if err := r.Term.Line("%s", r.Term.shown(out)); err != nil {
		return err
	}
	if answer.Header.Get("X-Amz-Function-Error") != "" {
		return ExitError{Code: 1}
	}
	return nil
}
