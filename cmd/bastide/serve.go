package main

import (
	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

// serverFlags are those of the commands that may start a server.
type serverFlags struct{ app.Config }

func (s *serverFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.Listen, "listen", app.DefaultListen, "address of the AWS API (and of applications, without --listen-apps)")
	f.StringVar(&s.ListenApps, "listen-apps", "", "an address of its own for applications")
	f.StringVar(&s.Account, "account", app.DefaultAccount, "the management account, twelve digits")
	f.BoolVar(&s.OpenCredentials, "open-credentials", false, "take every access key for the administrator's (loopback only; for conformance suites)")
	f.StringSliceVar(&s.Waive, "waive", nil, "sandbox layers to do without, by the names that bastide doctor gives")
	s.Pool, s.PoolMemory = app.DefaultPool, app.DefaultPoolMemory
	f.Var((*poolSize)(&s.Pool), "pool", "sandboxes to keep ready for functions' first calls, or off")
	f.Var((*megabytes)(&s.PoolMemory), "pool-memory", "memory in MB that ready sandboxes may hold")
	f.StringVar(&s.Driver, "driver", "", "how functions are isolated: namespace (default), gvisor, or process, which is not at all")
	f.StringVar(&s.Runsc, "runsc", "", "gVisor's program (default: the runsc in PATH)")
	f.StringVar(&s.TLSCert, "tls-cert", "", "serve TLS with this certificate")
	f.StringVar(&s.TLSKey, "tls-key", "", "the certificate's key")
	f.StringSliceVar(&s.Hosts, "host", nil, "a name or address that other machines call this server by; others are refused")
	f.StringVar(&s.NameServer, "name-server", "", "address and port of the DNS server that resolves outgoing names; the machine's if empty")
	f.StringSliceVar(&s.Integrations, "allow-integration", nil, "origin of an HTTP server that integrations may call though it is on this machine or a private network, as http://127.0.0.1:3000")
	f.StringSliceVar(&s.Issuers, "allow-issuer", nil, "origin of a token issuer that may be fetched though it is on this machine, as http://127.0.0.1:9099")
	f.StringSliceVar(&s.Registries, "registry", nil, "a registry that images of functions may be fetched from, as ghcr.io; hosts that it sends to for tokens and layers too")
	f.StringVar(&s.RegistryConfig, "registry-config", "", "file with the credentials of registries, as docker login writes it")
}

func (s *serverFlags) config(f *flags) app.Config {
	c := s.Config
	c.Data, c.Region = f.data, f.regionName()
	return c
}

func serveCommand(f *flags) *cobra.Command {
	var s serverFlags
	var profiles string
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the AWS API and the applications of a data directory",
		Long:    "Serve prints \"ready ADDRESS\" on one line when it answers, and stops cleanly on Ctrl-C.",
		Example: "  bastide serve\n  bastide serve --data ./state --listen 127.0.0.1:4600",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			return profiled(profiles, func() error { return app.Serve(cmd.Context(), s.config(f), version, t) })
		},
	}
	s.bind(cmd)
	cmd.Flags().StringVar(&profiles, "profile", "", "leave processor and memory profiles in this directory")
	_ = cmd.Flags().MarkHidden("profile") // for bench and for who works on Bastide
	return cmd
}
