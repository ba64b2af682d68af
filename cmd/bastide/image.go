package main

import (
	"github.com/spf13/cobra"
)

func imageCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "image",
		Short:   "Load container images for functions",
		Args:    cobra.NoArgs,
		Example: "  bastide image push ./app.tar app:1",
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "push FILE|LAYOUT NAME[:TAG]",
		Short: "Load an image of this machine into the account's own store",
		Long: "Push reads an OCI layout (a folder, or an archive of one) or what docker save writes, and stores\n" +
			"the image for this machine under ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG, the name by which\n" +
			"CreateFunction and templates take it. It lies in the bucket bastide-artifacts-ACCOUNT-REGION, below\n" +
			"images/, and is read with the permissions of who creates a function from it.",
		Example: "  bastide image push ./app.tar app:1\n  bastide image push ./layout team/app",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.remote(cmd)
			if err != nil {
				return err
			}
			return r.PushImage(cmd.Context(), args[0], args[1])
		},
	})
	return cmd
}
