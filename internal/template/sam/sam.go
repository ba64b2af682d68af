// Package sam stub
package sam

import "github.com/bastide-cloud/bastide/internal/template/tree"

type Options struct {
	Parameters map[string]*tree.Node
	Partition  string
	Load       func(path string) ([]byte, error)
}

func Transform(root *tree.Node, o Options) (*tree.Node, error) { return root, nil }
