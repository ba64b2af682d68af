package extension

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The schema versions: of the Telemetry API, from the second on with objects for lines that are JSON;
// and of the Logs API, the second one with runtimeDone.
const (
	telemetryFirst  = "2022-07-01"
	telemetrySecond = "2022-12-13"
	telemetryThird  = "2025-01-29"
	logsFirst       = "2020-08-15"
	logsDone        = "2021-03-18"
)

// subscription is what an extension asked for.
type subscription struct {
	api    api
	schema string
	types  []string

	maxItems, maxBytes int
	timeout            time.Duration

	tcp    bool
	port   uint16
	method string
	path   string // with the query
}

// objects tells whether lines that are JSON objects are delivered as such.
func (s *subscription) objects() bool { return s.api == telemetryAPI && s.schema != telemetryFirst }

func (s *subscription) invalid(problems ...string) error {
	kind := "ValidationError"
	if s.api == logsAPI {
		kind = "Logs.ValidationError"
	}
	return &refusal{http.StatusBadRequest, kind, strings.Join(problems, "; ")}
}

// wire is a subscription as it is sent.
type wire struct {
	Schema      *string  `json:"schemaVersion"`
	Types       []string `json:"types"`
	Destination struct {
		Protocol string `json:"protocol"`
		URI      string `json:"URI"`
		Port     int    `json:"port"`
		Method   string `json:"method"`
		Encoding string `json:"encoding"`
	} `json:"destination"`
	Buffering struct {
		MaxItems  *int64 `json:"maxItems"`
		MaxBytes  *int64 `json:"maxBytes"`
		TimeoutMs *int64 `json:"timeoutMs"`
	} `json:"buffering"`
}

// parseSubscription reads the body of a subscription ("Lambda Telemetry API reference", "Lambda Logs
// API").
func parseSubscription(body []byte, through api) (*subscription, error) {
	s := &subscription{api: through, maxItems: 10000, maxBytes: 262144, timeout: time.Second}
	var in wire
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, s.invalid("the request body is not valid: " + clip(err.Error()))
	}
	var wrong []string
	wrong = append(wrong, s.takeSchema(in.Schema)...)
	wrong = append(wrong, s.takeDestination(in)...)
	if len(in.Types) == 0 {
		wrong = append(wrong, "types should not be empty")
	}
	for _, t := range in.Types {
		if t != typePlatform && t != typeFunction && t != typeExtension {
			wrong = append(wrong, "types contains an unknown value")
			break
		}
		if !slices.Contains(s.types, t) {
			s.types = append(s.types, t)
		}
	}
	ms := s.timeout.Milliseconds()
	for _, b := range []struct {
		name        string
		given       *int64
		least, most int64
		set         func(int64)
	}{
		{"maxItems", in.Buffering.MaxItems, 1000, 10000, func(n int64) { s.maxItems = int(n) }},
		{"maxBytes", in.Buffering.MaxBytes, 262144, 1048576, func(n int64) { s.maxBytes = int(n) }},
		{"timeoutMs", in.Buffering.TimeoutMs, 25, 30000, func(n int64) { ms = n }},
	} {
		switch {
		case b.given == nil:
		case *b.given < b.least || *b.given > b.most:
			wrong = append(wrong, b.name+" should be between "+strconv.FormatInt(b.least, 10)+" and "+strconv.FormatInt(b.most, 10))
		default:
			b.set(*b.given)
		}
	}
	s.timeout = time.Duration(ms) * time.Millisecond
	if len(wrong) > 0 {
		return nil, s.invalid(wrong...)
	}
	return s, nil
}

func (s *subscription) takeSchema(given *string) []string {
	known := []string{telemetryFirst, telemetrySecond, telemetryThird}
	if s.api == logsAPI {
		known, s.schema = []string{logsFirst, logsDone}, logsFirst
	}
	switch {
	case given != nil && slices.Contains(known, *given):
		s.schema = *given
	case given != nil:
		return []string{"schemaVersion is not one of " + strings.Join(known, ", ")}
	case s.api == telemetryAPI:
		return []string{"schemaVersion is not provided"}
	}
	return nil
}

// takeDestination reads where to deliver: a port of the environment itself.
func (s *subscription) takeDestination(in wire) []string {
	d := in.Destination
	if d.Encoding != "" && d.Encoding != "JSON" {
		return []string{"destination encoding should be JSON"}
	}
	port := d.Port
	switch d.Protocol {
	case "TCP":
		s.tcp = true
		if d.URI != "" {
			u, err := url.Parse(d.URI)
			if err != nil || u.Scheme != "tcp" || !local(u.Hostname()) {
				return []string{"URI is not of the form tcp://sandbox.localdomain:port"}
			}
			port = number(u.Port())
		}
		if port == 0 {
			return []string{"port is not provided"}
		}
	case "HTTP":
		u, err := url.Parse(d.URI)
		if err != nil || u.Scheme != "http" || !local(u.Hostname()) || u.User != nil {
			return []string{"URI is not of the form http://sandbox.localdomain:port/path"}
		}
		if u.Port() == "" {
			return []string{"URI port is not provided"}
		}
		port, s.path = number(u.Port()), u.RequestURI()
		switch d.Method {
		case "", http.MethodPost:
			s.method = http.MethodPost
		case http.MethodPut:
			s.method = http.MethodPut
		default:
			return []string{"destination method should be POST or PUT"}
		}
	default:
		return []string{"destination protocol should be HTTP or TCP"}
	}
	if port < 1 || port > 65535 {
		return []string{"the port is not valid"}
	}
	if port == 9001 {
		return []string{"the port 9001 is reserved"}
	}
	s.port = uint16(port)
	return nil
}

// Hosts are the names by which an environment knows itself.
const Hosts = "sandbox.localdomain sandbox.local sandbox"

func local(host string) bool { return slices.Contains(strings.Fields(Hosts), host) }

func number(port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		return -1
	}
	return n
}
