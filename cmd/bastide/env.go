package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

func envCommand(f *flags) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "env",
		Short:   "Print the settings that point an AWS client here",
		Example: "  eval \"$(bastide env)\"\n  bastide env --format json\n  bastide env --format profile >> ~/.aws/config",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			if f.output == "json" && !cmd.Flags().Changed("format") {
				format = "json"
			}
			return app.Env(f.data, f.region, format, t)
		},
	}
	cmd.Flags().StringVar(&format, "format", "shell", "shell, json or profile")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"shell", "json", "profile"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func doctorCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Say which isolation layers this machine gives, and how to get those it does not",
		Example: "  bastide doctor\n  bastide doctor --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			return app.Doctor(cmd.Context(), f.data, t)
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "functions", Short: "Say what to better in functions, from what was seen of them", Args: cobra.NoArgs,
		Long: "From the calls since the start and from runtime profiles: files of the package that are never loaded,\n" +
			"clients that are made on each call, use of /tmp, and what the package weighs in a cold start.",
		Example: "  bastide profile orders --mode learn    # then let it do its work\n  bastide doctor functions\n  bastide doctor functions --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.DoctorFunctions(cmd.Context())
		},
	})
	cmd.AddCommand(doctorRuntimes(f))
	return cmd
}

func versionCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  bastide version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			if t.JSON {
				return t.Print(map[string]string{"version": version})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "bastide", version)
			return err
		},
	}
}

func doctorRuntimes(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "runtimes",
		Short: "Say until when runtimes are supported, and which functions are on outdated ones",
		Long: "Lists the runtimes of this machine, their versions and the days on which Lambda ends their support,\n" +
			"with the functions of the running server. A function on an outdated runtime ends it with status 1.",
		Example: "  bastide doctor runtimes\n  bastide doctor runtimes --output json | jq '.[] | select(.state == \"outdated\") | .functions'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			return app.DoctorRuntimes(cmd.Context(), f.data, t, func() (*app.Remote, error) { return f.remote(cmd) })
		},
	}
}
