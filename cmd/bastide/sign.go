package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/bastide-cloud/bastide/internal/app"
)

func signCommand(f *flags) *cobra.Command {
	s := app.Signing{}
	cmd := &cobra.Command{
		Use: "sign ARCHIVE", Short: "Sign a deployment package", Args: cobra.ExactArgs(1),
		Long: "Writes the package with a signature that Lambda's code signing configurations are held against.\n" +
			"The profile's private key stays in a file, made with the first signature; its public key is\n" +
			"registered with the server. With --key and --profile-arn no server is needed.",
		Example: "  bastide sign function.zip --profile release\n  bastide sign function.zip --key ci.pem --profile-arn arn:aws:signer:us-east-1:123456789012:/signing-profiles/release/0123456789\n" +
			"  bastide sign profiles\n  bastide sign revoke release 0123456789 --reason 'key lost'",
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := f.terminal(cmd)
			if err != nil {
				return err
			}
			s.Archive, s.Data = args[0], f.data
			return app.Sign(cmd.Context(), s, t, func() (*app.Remote, error) { return f.remote(cmd) })
		},
	}
	p := cmd.Flags()
	p.StringVarP(&s.Profile, "profile", "p", "", "name of the signing profile")
	p.StringVar(&s.ProfileARN, "profile-arn", "", "ARN of a registered version of a signing profile")
	p.StringVar(&s.Key, "key", "", "file of the private key in PEM (default: the profile's own, below --data)")
	p.StringVar(&s.Out, "out", "", "file to write (default: ARCHIVE with .signed.zip)")
	p.DurationVar(&s.Valid, "valid", 135*30*24*time.Hour, "how long the signature counts, 0 for ever")
	cmd.MarkFlagsOneRequired("profile", "profile-arn")
	cmd.MarkFlagsMutuallyExclusive("profile", "profile-arn")
	cmd.AddCommand(signProfiles(f), signRevoke(f))
	return cmd
}

func signProfiles(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "profiles", Short: "List the signing profiles whose keys are registered", Args: cobra.NoArgs, Example: "  bastide sign profiles",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.SigningProfiles(cmd.Context())
		},
	}
}

func signRevoke(f *flags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "revoke PROFILE VERSION", Short: "Trust no more what a version of a profile signs from now on", Args: cobra.ExactArgs(2),
		Example: "  bastide sign revoke release 0123456789 --reason 'key lost'",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.RevokeSigning(cmd.Context(), args[0], args[1], reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept with the profile")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
