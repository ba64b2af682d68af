package main

import (
	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

func auditCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Read and verify the audit trail",
		Example: "  bastide audit tail\n  bastide audit query --denied\n  bastide audit verify",
	}
	cmd.AddCommand(auditTail(f), auditQuery(f), auditVerify(f), auditHead(f))
	return cmd
}

func auditTail(f *flags) *cobra.Command {
	var q app.AuditQuery
	cmd := &cobra.Command{
		Use: "tail", Short: "Show records as they are written", Args: cobra.NoArgs,
		Example: "  bastide audit tail\n  bastide audit tail --denied --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.AuditTail(cmd.Context(), q)
		},
	}
	bindQuery(cmd, &q)
	return cmd
}

func auditQuery(f *flags) *cobra.Command {
	var q app.AuditQuery
	cmd := &cobra.Command{
		Use: "query", Short: "Find records", Args: cobra.NoArgs,
		Example: "  bastide audit query --denied --since 1h\n  bastide audit query --event PutItem --principal arn:aws:iam::123456789012:user/admin",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.AuditQuery(cmd.Context(), q)
		},
	}
	bindQuery(cmd, &q)
	cmd.Flags().DurationVar(&q.Since, "since", 0, "only records of the last while, as 15m or 24h")
	cmd.Flags().IntVar(&q.Max, "max", 100, "how many records at most")
	return cmd
}

func bindQuery(cmd *cobra.Command, q *app.AuditQuery) {
	f := cmd.Flags()
	f.StringVar(&q.Principal, "principal", "", "ARN of who called")
	f.StringVar(&q.Event, "event", "", "the operation's name")
	f.StringVar(&q.Source, "source", "", "the service, as dynamodb.amazonaws.com")
	f.StringVar(&q.Code, "error", "", "the error's code")
	f.StringVar(&q.Request, "request", "", "the request's id")
	f.StringVar(&q.Resource, "resource", "", "ARN of what was touched")
	f.BoolVar(&q.Denied, "denied", false, "only refusals")
}

func auditVerify(f *flags) *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use: "verify", Short: "Find any record that was deleted, altered or moved", Args: cobra.NoArgs,
		Long:    "Verify walks the chain up to the last signed head. With a head that was exported earlier it also\nfinds a cut tail and a rewritten history.",
		Example: "  bastide audit verify\n  bastide audit verify --head head.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.AuditVerify(cmd.Context(), head)
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "file of a head that bastide audit head printed")
	return cmd
}

func auditHead(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "head", Short: "Print the last signed head, to be kept elsewhere", Args: cobra.NoArgs,
		Example: "  bastide audit head > head.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.AuditHead(cmd.Context())
		},
	}
}

func whyCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "why REQUEST_ID", Short: "Explain a refusal: policy, statement, failing element, what would allow it", Args: cobra.ExactArgs(1),
		Example: "  bastide why 5c1d2c1e-6b0f-4a58-9d0f-2a8a3a0d5d0e",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.Why(cmd.Context(), args[0])
		},
	}
}

func acknowledgeCommand(f *flags) *cobra.Command {
	var a app.Acknowledgement
	cmd := &cobra.Command{
		Use: "acknowledge [ROUTE]", Short: "Open a route without authorisation to other machines, by name", Args: cobra.MaximumNArgs(1),
		Long:    "A route without authorisation answers this machine only until it is acknowledged by name. Without\na route, the command lists all routes and says which are open.",
		Example: "  bastide acknowledge\n  bastide acknowledge 'a1b2c3d4e5 GET /health' --reason 'load balancer probe'",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				a.Route = args[0]
			}
			return r.Acknowledge(cmd.Context(), a)
		},
	}
	cmd.Flags().StringVar(&a.Reason, "reason", "", "why it may be open; kept in the trail")
	cmd.Flags().BoolVar(&a.Revoke, "revoke", false, "close it again")
	return cmd
}

func statusCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show what the running server is and holds", Args: cobra.NoArgs,
		Long:    "Shows the running server's address, services, instances of functions and what its process holds.",
		Example: "  bastide status\n  bastide status --output json | jq .instances",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.Status(cmd.Context())
		},
	}
}
