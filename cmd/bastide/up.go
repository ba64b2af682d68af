package main

import (
	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

// deployFlags are those of the commands that deploy a template.
type deployFlags struct{ app.Deployment }

func (d *deployFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.Stack, "stack", "", "the stack's name (default: the directory's)")
	f.StringToStringVarP(&d.Parameters, "parameter", "p", nil, "a template parameter, as Name=value")
	f.StringToStringVar(&d.Tags, "tag", nil, "a tag of the stack, as key=value")
	f.BoolVar(&d.Build, "build", false, "install dependencies in a sandbox that reaches only the registry")
	f.StringSliceVar(&d.BuildHosts, "build-host", nil, "another host that a build may reach, as github.com")
	f.StringArrayVar(&d.Acknowledge, "acknowledge", nil, "a route without authorisation to open to other machines, by name")
}

func upCommand(f *flags) *cobra.Command {
	var s serverFlags
	var d deployFlags
	cmd := &cobra.Command{
		Use:   "up [DIR|template.yaml]",
		Short: "Run an application: start, deploy, show calls and refusals, redeploy on change",
		Long: "Up attaches to the server of the data directory or starts one, packages what the template's\n" +
			"CodeUri names (.aws-sam/build first), deploys, prints URLs and roles, and then shows calls and\n" +
			"refusals as they happen, deploying again when a file changes. Ctrl-C stops it; what was\n" +
			"deployed is kept. The AWS SDK that Lambda supplies with a runtime is fetched from npm or PyPI\n" +
			"where it is missing.",
		Example: "  bastide up\n  bastide up examples/tasks --parameter Issuer=https://id.example.com\n  bastide up --once --output json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			d.Path = "."
			if len(args) == 1 {
				d.Path = args[0]
			}
			return app.Up(cmd.Context(), s.config(f), d.Deployment, version, t)
		},
	}
	s.bind(cmd)
	d.bind(cmd)
	cmd.Flags().BoolVar(&d.Once, "once", false, "deploy and return")
	cmd.Flags().BoolVar(&d.Offline, "offline", false, "fetch no SDK that a runtime lacks; say what to run instead")
	return cmd
}

func deployCommand(f *flags) *cobra.Command {
	var d deployFlags
	cmd := &cobra.Command{
		Use:     "deploy [DIR|template.yaml]",
		Short:   "Package and deploy a template to a running server",
		Example: "  bastide deploy\n  bastide deploy template.yaml --stack orders --parameter Stage=test",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			d.Path = "."
			if len(args) == 1 {
				d.Path = args[0]
			}
			return r.Deploy(cmd.Context(), d.Deployment)
		},
	}
	d.bind(cmd)
	return cmd
}

func downCommand(f *flags) *cobra.Command {
	var stack string
	cmd := &cobra.Command{
		Use:     "down [DIR|template.yaml]",
		Short:   "Delete an application's stack and everything in it",
		Example: "  bastide down\n  bastide down --stack orders",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			return r.Down(cmd.Context(), path, stack)
		},
	}
	cmd.Flags().StringVar(&stack, "stack", "", "the stack's name (default: the directory's)")
	return cmd
}
