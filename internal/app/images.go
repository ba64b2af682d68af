package app

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	lambdaapi "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
)

// registries are those that --registry names. What they send on to, for tokens or layers, must be named
// as well.
type registries struct {
	hosts map[string]bool
	reach image.Registry
}

const (
	imagePurpose = "image"
	maxLayer     = 10 << 30         // bytes of one answer: an image has at most as many
	registryTime = 60 * time.Second // until an answer begins
)

func (s *Server) registries() (*registries, error) {
	r := &registries{hosts: map[string]bool{}}
	if s.cfg.RegistryConfig != "" {
		keys, err := image.ReadKeys(s.cfg.RegistryConfig)
		if err != nil {
			return nil, fmt.Errorf("--registry-config: %w", err)
		}
		r.reach.Keys = keys
	}
	p := egress.Policy{Resolver: resolver{net.DefaultResolver}, Clock: s.clock, MaxBody: maxLayer, Timeout: registryTime, Auditor: s.connections(gate.Happening{
		Principal: identity.Service(lambdaPrincipal, s.cfg.Account), Service: lambdaapi.Service, Region: s.cfg.Region},
		" Where the registry of an image sends there, start Bastide with --registry and this host too.")}
	for _, text := range s.cfg.Registries {
		host, err := image.RegistryHost(text)
		if err != nil {
			return nil, fmt.Errorf("--registry %q: %w", text, err)
		}
		r.hosts[host] = true
		p.Routes = append(p.Routes, registryRoute(host))
	}
	out, err := egress.New(p)
	if err != nil {
		return nil, err
	}
	r.reach.Transport = out.Client(imagePurpose).Transport // without the client's bound of a whole exchange
	return r, nil
}

// registryRoute is the way to a registry: the port that it names, or HTTPS's.
func registryRoute(host string) egress.Route {
	r := egress.Route{Purpose: imagePurpose, Host: host, Port: 443, Private: true}
	if h, port, err := net.SplitHostPort(host); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			r.Host, r.Port = h, n
		}
	}
	r.Host = strings.Trim(r.Host, "[]")
	return r
}

// Declared implements lambda.Registries.
func (r *registries) Declared(host string) bool { return r.hosts[host] }

// Source implements lambda.Registries.
func (r *registries) Source(_ context.Context, ref image.Reference) (image.Source, error) {
	return r.reach.Source(ref)
}
