package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// EgressQuery selects what left, or was to.
type EgressQuery struct {
	Function string // a function's or an API's name or ARN; "" for all
	Since    time.Duration
	Refused  bool // only places that were refused or failed
}

// Destination is what one function, or one route of an API, has connected to at one place.
type Destination struct {
	Source      string    `json:"source"`  // ARN
	Purpose     string    `json:"purpose"` // function, integration, jwks
	Host        string    `json:"host"`
	Port        int       `json:"port,omitempty"` // 0 of a name that was refused
	Addresses   []string  `json:"addresses,omitempty"`
	Connections int64     `json:"connections"`
	Refused     int64     `json:"refused"`
	Failed      int64     `json:"failed"`
	Sent        int64     `json:"bytesSent"`
	Received    int64     `json:"bytesReceived"`
	Last        time.Time `json:"last"`
	Why         string    `json:"why,omitempty"` // of the last refusal or failure
}

// crossing is what the trail has of one connection.
type crossing struct {
	record
	In struct {
		Source   string `json:"source"`
		Purpose  string `json:"purpose"`
		Host     string `json:"host"`
		Port     int    `json:"port"`
		Address  string `json:"address"`
		Count    int64  `json:"count"`
		Sent     int64  `json:"bytesSent"`
		Received int64  `json:"bytesReceived"`
	} `json:"requestParameters"`
}

// maxAddresses are kept of one destination.
const maxAddresses = 8

// Egress prints what functions and APIs have connected to, what was refused and what failed, as the trail
// has it.
func (r *Remote) Egress(ctx context.Context, q EgressQuery) error {
	if q.Since < 0 {
		return fmt.Errorf("--since %s is in the future", q.Since)
	}
	found := map[string]*Destination{}
	for _, event := range []string{eventConnect, eventDisconnect, eventResolve} {
		after := ""
		for {
			page, err := r.auditPage(ctx, AuditQuery{Event: event, Since: q.Since}, after, 500, false)
			if err != nil {
				return err
			}
			for _, raw := range page.Records {
				var c crossing
				if err := json.Unmarshal([]byte(raw.Record), &c); err != nil {
					return err
				}
				if matchesSource(c.In.Source, q.Function) {
					c.count(found)
				}
			}
			if page.After == "" || len(page.Records) == 0 {
				break
			}
			after = page.After
		}
	}
	if len(found) == 0 && q.Function != "" && !strings.Contains(q.Function, ":execute-api:") {
		// nothing of it is in the trail: it may be that there is no such function
		if err := r.REST(ctx, "lambda", http.MethodGet, "/2015-03-31/functions/"+url.PathEscape(q.Function)+"/configuration", nil, nil); err != nil {
			return err
		}
	}
	all := []*Destination{}
	for _, d := range found {
		if !q.Refused || d.Refused+d.Failed > 0 {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *Destination) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return r.showEgress(all)
}

// matchesSource tells whether an ARN is of what is asked for, by its whole or by its name.
func matchesSource(source, want string) bool {
	if want == "" || source == want {
		return true
	}
	rest := strings.SplitN(source, ":", 6)
	last := rest[len(rest)-1]
	name, _, _ := strings.Cut(strings.TrimPrefix(last, "function:"), "/")
	return name == want
}

// count adds a record to its destination.
func (c crossing) count(found map[string]*Destination) {
	key := fmt.Sprint(c.In.Source, " ", c.In.Purpose, " ", c.In.Host, " ", c.In.Port)
	d := found[key]
	if d == nil {
		d = &Destination{Source: c.In.Source, Purpose: c.In.Purpose, Host: c.In.Host, Port: c.In.Port}
		found[key] = d
	}
	if c.EventTime.After(d.Last) {
		d.Last = c.EventTime
	}
	if a := c.In.Address; a != "" && !slices.Contains(d.Addresses, a) && len(d.Addresses) < maxAddresses {
		d.Addresses = append(d.Addresses, a)
	}
	n := max(c.In.Count, 1)
	d.Sent, d.Received = d.Sent+c.In.Sent, d.Received+c.In.Received
	switch {
	case c.denied():
		d.Refused, d.Why = d.Refused+n, c.ErrorMessage
	case c.ErrorCode != "":
		d.Failed, d.Why = d.Failed+n, c.ErrorMessage
	case c.EventName != eventDisconnect:
		d.Connections++
	}
}

func (r *Remote) showEgress(all []*Destination) error {
	if r.Term.JSON {
		return r.Term.Print(all)
	}
	if len(all) == 0 {
		return r.Term.Line("nothing has left, and nothing tried to")
	}
	for _, d := range all {
		place := d.Host
		if d.Port != 0 {
			place = net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
		}
		s := fmt.Sprintf("%s %s", r.Term.paint(bold, plain(shortARN(cmp.Or(d.Source, d.Purpose)))), plain(place))
		if d.Connections > 0 {
			s += fmt.Sprintf("  %d connected, %d bytes sent, %d received", d.Connections, d.Sent, d.Received)
		}
		if d.Failed > 0 {
			s += r.Term.paint(yellow, fmt.Sprintf("  %d failed", d.Failed))
		}
		if d.Refused > 0 {
			word := "refused"
			if d.Host == fleet.Elsewhere {
				word = "more refused, places unknown"
			}
			s += r.Term.paint(red, fmt.Sprintf("  %d %s", d.Refused, word))
		}
		if err := r.Term.Line("%s", s); err != nil {
			return err
		}
		if d.Why != "" {
			if err := r.Term.Line("         %s", plain(d.Why)); err != nil {
				return err
			}
		}
	}
	return nil
}
