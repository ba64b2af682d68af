// Package runtimes finds, installs and lays out what a function's runtime identifier names.
//
// A runtime is an interpreter and the AWS SDK that Lambda supplies with it: nodejs22.x is node 22
// and @aws-sdk, python3.12 is python 3.12 and boto3, provided.al2023 is neither. Interpreters that
// the machine has are found (PATH, pyenv, nvm and the like, Debian's packages); others are
// installed from the registries through the user's own clients, npm and pip.
//
// A function never sees the machine's files. Each runtime becomes an image: a folder with the
// interpreter, its library, the shared libraries that they and compiled packages need, and a small
// shell environment, at the paths where Lambda has them (/var/lang, /var/runtime). It is laid once,
// with links where the file system allows, and mounted read-only:
//
//	c := runtimes.New(runtimes.Config{Dir: dataDir + "/runtimes", Environ: os.Environ()})
//	rt, err := c.Ready(ctx, "python3.12") // *MissingError says which command installs it or its SDK
//	spec := sandbox.Spec{Root: rt.Root, Argv: rt.Argv(…), Channel: rt.Channel()}
package runtimes
