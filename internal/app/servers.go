package app

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/edge"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

// Limits of integrations with HTTP servers. Source: API Gateway quotas, integration timeout and payload size.
const (
	serverTimeout = 30 * time.Second
	serverBody    = 10<<20 + 1 // one byte more than the edge passes on, so that it sees what is too large
	maxCallers    = 256        // routes whose connections are kept
)

// servers calls the HTTP servers of integrations. An integration names its server, which declares the way
// to it if it is a public one; one of this machine or a private network needs --allow-integration, too.
type servers struct {
	s      *Server
	routes []egress.Route

	mu      sync.Mutex
	callers map[edge.Integration]*http.Client
}

func (s *Server) servers() (*servers, error) {
	v := &servers{s: s, callers: map[edge.Integration]*http.Client{}}
	for _, origin := range s.cfg.Integrations {
		host, port, err := hostPort(origin)
		if err != nil {
			return nil, fmt.Errorf("--allow-integration %q: %w", origin, err)
		}
		if s.ownName(host, port) {
			return nil, fmt.Errorf("--allow-integration %q: it is Bastide itself, which no integration may call", origin)
		}
		v.routes = append(v.routes, egress.Route{Host: host, Port: port, Private: true})
	}
	_, err := v.dialer(edge.Integration{}) // which says what is wrong with a route
	return v, err
}

// Call implements edge.Servers.
func (v *servers) Call(r *http.Request, by edge.Integration) (*http.Response, error) {
	client, err := v.caller(by)
	if err != nil {
		return nil, err
	}
	return client.Do(r)
}

// caller is the client of one route. Routes share no connections: whose one is, its record says.
func (v *servers) caller(by edge.Integration) (*http.Client, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.callers[by]; c != nil {
		return c, nil
	}
	out, err := v.dialer(by)
	if err != nil {
		return nil, err
	}
	if len(v.callers) >= maxCallers {
		for _, c := range v.callers {
			c.CloseIdleConnections()
		}
		clear(v.callers)
	}
	c := out.Client("integration")
	v.callers[by] = c
	return c, nil
}

func (v *servers) dialer(by edge.Integration) (*egress.Dialer, error) {
	return egress.New(egress.Policy{Public: []string{"integration"}, Routes: v.routes, Resolver: v.s.names, Clock: v.s.clock, Own: v.s.own,
		Timeout: serverTimeout, MaxBody: serverBody, Auditor: v.s.connections(gate.Happening{
			Principal: identity.Service("apigateway.amazonaws.com", by.Account), Service: edge.Service, Region: by.Region, SourceARN: by.Route},
			" Where this server of an integration is meant, start Bastide with --allow-integration and its origin.")})
}
