package main

import (
	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

func egressCommand(f *flags) *cobra.Command {
	var q app.EgressQuery
	cmd := &cobra.Command{
		Use: "egress", Short: "Show what functions and APIs connected to, and what was refused", Args: cobra.NoArgs,
		Long: "Nothing leaves a function but by a way that is declared for it. Egress counts, from the audit trail, the\n" +
			"connections of each function and each API's route by their place, and the attempts that were refused.",
		Example: "  bastide egress\n  bastide egress --function tasks --since 1h --output json\n  bastide egress --refused",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.Egress(cmd.Context(), q)
		},
	}
	cmd.Flags().StringVar(&q.Function, "function", "", "a function or an API, by name or ARN")
	cmd.Flags().DurationVar(&q.Since, "since", 0, "only of the last while, as 15m or 24h")
	cmd.Flags().BoolVar(&q.Refused, "refused", false, "only places that were refused or failed")
	return cmd
}
