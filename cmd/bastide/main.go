// Command bastide runs serverless applications on this machine, every call signed, authorised
// and audited, every function in a sandbox.
//
//	bastide up examples/tasks
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

// version is stamped by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	cmd := root()
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return
	}
	if code, ok := errors.AsType[app.ExitError](err); ok {
		if code.Err != nil {
			fmt.Fprintln(os.Stderr, "bastide:", code.Err)
		}
		stop()
		os.Exit(code.Code)
	}
	fmt.Fprintln(os.Stderr, "bastide:", err)
	stop()
	os.Exit(1)
}

func root() *cobra.Command {
	var common flags
	cmd := &cobra.Command{
		Use:           "bastide",
		Short:         "A secure serverless cloud in one binary",
		Long:          "Bastide runs a serverless application on this machine with every security control of its\nstack enforced: sandboxed functions, signed and authorised calls, an audit trail.",
		Example:       "  bastide up examples/tasks\n  eval \"$(bastide env)\"\n  aws dynamodb list-tables",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	common.bind(cmd)
	cmd.AddCommand(
		upCommand(&common), serveCommand(&common), deployCommand(&common), downCommand(&common),
		envCommand(&common), statusCommand(&common), doctorCommand(&common), signCommand(&common), runtimesCommand(&common), logsCommand(&common),
		invokeCommand(&common), profileCommand(&common), imageCommand(&common), auditCommand(&common), whyCommand(&common), acknowledgeCommand(&common), egressCommand(&common),
		backupCommand(&common), restoreCommand(&common), versionCommand(&common),
	)
	return cmd
}

// flags are those that every command has.
type flags struct {
	data   string
	region string
	output string
}

func (f *flags) bind(cmd *cobra.Command) {
	p := cmd.PersistentFlags()
	p.StringVar(&f.data, "data", app.DefaultData(), "directory of everything that is kept")
	p.StringVar(&f.region, "region", "", "AWS region (default: AWS_REGION, or "+app.DefaultRegion+")")
	p.StringVarP(&f.output, "output", "o", "text", "text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// terminal is where a command writes and in which form.
func (f *flags) terminal(cmd *cobra.Command) (app.Terminal, error) {
	if f.output != "text" && f.output != "json" {
		return app.Terminal{}, fmt.Errorf("--output %q is neither text nor json", f.output)
	}
	return app.NewTerminal(cmd.OutOrStdout(), cmd.ErrOrStderr(), f.output == "json"), nil
}

// regionName is the region that the caller wants.
func (f *flags) regionName() string {
	for _, r := range []string{f.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if r != "" {
			return r
		}
	}
	return app.DefaultRegion
}

// remote is a signed connection to the server of the data directory.
func (f *flags) remote(cmd *cobra.Command) (*app.Remote, error) {
	t, err := f.terminal(cmd)
	if err != nil {
		return nil, err
	}
	return app.Connect(f.data, f.regionName(), t)
}
