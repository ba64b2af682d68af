package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

func logsCommand(f *flags) *cobra.Command {
	var q app.LogQuery
	cmd := &cobra.Command{
		Use: "logs [FUNCTION|LOG_GROUP]", Short: "Show functions' output", Args: cobra.MaximumNArgs(1),
		Example: "  bastide logs\n  bastide logs -f tasks-Create\n  bastide logs /aws/lambda/tasks-List --since 10m",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				q.Name = args[0]
			}
			return r.Logs(cmd.Context(), q)
		},
	}
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on as output comes")
	cmd.Flags().DurationVar(&q.Since, "since", 0, "only output of the last while, as 15m")
	cmd.Flags().StringVar(&q.Filter, "filter", "", "only lines that hold this text")
	return cmd
}

func invokeCommand(f *flags) *cobra.Command {
	var q app.Invocation
	cmd := &cobra.Command{
		Use: "invoke FUNCTION", Short: "Call a function and print its answer and its output", Args: cobra.ExactArgs(1),
		Example: "  bastide invoke tasks-List --payload '{}'\n  bastide invoke orders --payload @event.json --event",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			q.Function = args[0]
			return r.Invoke(cmd.Context(), q)
		},
	}
	cmd.Flags().StringVar(&q.Payload, "payload", "{}", "JSON, @FILE, or @- for standard input")
	cmd.Flags().StringVar(&q.Qualifier, "qualifier", "", "version or alias")
	cmd.Flags().BoolVar(&q.Event, "event", false, "asynchronously")
	return cmd
}

func runtimesCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "runtimes", Short: "List and install the interpreters that functions run on",
		Example: "  bastide runtimes list\n  bastide runtimes install nodejs22.x",
	}
	list := &cobra.Command{
		Use: "list", Short: "List what is installed or found on this machine", Args: cobra.NoArgs, Example: "  bastide runtimes list --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			return app.RuntimesList(cmd.Context(), f.data, t)
		},
	}
	var w app.RuntimeWants
	install := &cobra.Command{
		Use: "install RUNTIME…", Short: "Install an interpreter and the AWS SDK that Lambda supplies with it", Args: cobra.MinimumNArgs(1),
		Long: "Functions run on a runtime only with its SDK, as on Lambda. Where no registry can be reached,\n" +
			"--without-sdk records that they do without it; `runtimes list` and `doctor` show that, and\n" +
			"installing again without the flag ends it.",
		Example: "  bastide runtimes install nodejs22.x python3.12\n  bastide runtimes install nodejs18.x --with aws-sdk-v2",
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			return app.RuntimesInstall(cmd.Context(), f.data, args, w, t)
		},
	}
	install.Flags().StringSliceVar(&w.With, "with", nil, "what to install beside it: aws-sdk-v2")
	install.Flags().BoolVar(&w.WithoutSDK, "without-sdk", false, "let functions do without the SDK, where no registry can be reached")
	cmd.AddCommand(list, install)
	return cmd
}

func backupCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write everything that is kept, consistently, while serving", Args: cobra.ExactArgs(1),
		Long:    "A backup never contains the root key: keep DIR/root.key apart, for a backup cannot be opened without it.\nIt has everything else: the state of every service, the events of log groups, and the trail.",
		Example: "  bastide backup bastide-2026-11-23.backup",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.Backup(cmd.Context(), args[0])
		},
	}
}

func restoreCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Make a new data directory from a backup; no server may own it", Args: cobra.ExactArgs(1),
		Example: "  bastide restore bastide-2026-11-23.backup --data ./restored",
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			return app.Restore(cmd.Context(), f.data, args[0], t)
		},
	}
}

func profileCommand(f *flags) *cobra.Command {
	var mode string
	modes := []string{"learn", "report", "enforce", "off"}
	cmd := &cobra.Command{
		Use: "profile [FUNCTION]", Short: "Learn what a function does, and hold it to that", Args: cobra.MaximumNArgs(1),
		Long: "A runtime profile is what a function was seen to do: which processes it starts, which hosts it reaches, which\n" +
			"files of its package it opens, whether it writes to /tmp. What departs from it is reported, or refused, and is\n" +
			"in the audit trail either way. The mode is the function's tag bastide:profile, which a template can set too.",
		Example: "  bastide profile orders --mode learn\n  bastide profile orders\n  bastide profile orders --mode enforce\n  bastide audit query --event DepartFromProfile",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("mode") && !slices.Contains(modes, mode) {
				return fmt.Errorf("--mode %q is none of %s", mode, strings.Join(modes, ", "))
			}
			name := ""
			if len(args) == 1 {
				name = args[0]
			} else if mode != "" {
				return errors.New("--mode wants a FUNCTION; bastide profile lists them")
			}
			return r.Profile(cmd.Context(), name, mode)
		},
	}
	cmd.Flags().StringVar(&mode, "mode", "", strings.Join(modes, ", ")+"; off forgets what was learned")
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(modes, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
