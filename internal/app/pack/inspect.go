package pack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/bastide-cloud/bastide/internal/template"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Facts are what of a template matters before a server is there.
type Facts struct {
	File     string              // the template
	Runtimes map[string][]string // identifier → the functions that want it, as "Create (template.yaml, line 46, column 11)"
	Issuers  []string            // of the tokens that its authorizers take
}

// Inspect reads the template of a path. What only the deployment can tell is left out.
func Inspect(o Options) (*Facts, error) {
	file, t, _, err := read(o.Path)
	if err != nil {
		return nil, err
	}
	f := &Facts{File: file, Runtimes: map[string][]string{}}
	root := t.Root()
	global := o.text(root, root.Dig("Globals", "Function", "Runtime"))
	if resources := root.Get("Resources"); resources != nil {
		for _, r := range resources.Fields {
			f.resource(o, root, global, r.Key, r.Value)
		}
	}
	slices.Sort(f.Issuers)
	f.Issuers = slices.Compact(f.Issuers)
	return f, nil
}

func (f *Facts) resource(o Options, root *tree.Node, global, id string, r *tree.Node) {
	props := r.Get("Properties")
	typ := r.Get("Type")
	issuer := func(n *tree.Node) {
		if text := o.text(root, n); text != "" {
			f.Issuers = append(f.Issuers, text)
		}
	}
	switch {
	case typ.IsString("AWS::Serverless::Function"), typ.IsString("AWS::Lambda::Function"):
		runtime := o.text(root, props.Get("Runtime"))
		if runtime == "" && typ.IsString("AWS::Serverless::Function") {
			runtime = global
		}
		if runtime != "" && !props.Get("PackageType").IsString("Image") {
			f.Runtimes[runtime] = append(f.Runtimes[runtime], fmt.Sprintf("%s (%s, %s)", id, filepath.Base(f.File), typ.Pos))
		}
	case typ.IsString("AWS::Serverless::HttpApi"):
		if all := props.Dig("Auth", "Authorizers"); all != nil {
			for _, a := range all.Fields {
				issuer(a.Value.Dig("JwtConfiguration", "issuer"))
			}
		}
	case typ.IsString("AWS::ApiGatewayV2::Authorizer"):
		issuer(props.Dig("JwtConfiguration", "Issuer"))
	}
}

// read parses the template of a path.
func read(path string) (file string, t *template.Template, src []byte, err error) {
	if file, err = Find(path); err != nil {
		return file, nil, nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return file, nil, nil, err
	}
	if info.Size() > maxTemplate {
		return file, nil, nil, fmt.Errorf("%s is larger than %d bytes", file, maxTemplate)
	}
	if src, err = os.ReadFile(file); err != nil {
		return file, nil, nil, err
	}
	if t, err = template.Parse(src); err != nil {
		return file, nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return file, t, src, nil
}

// text is a string, or the value of the parameter that is referred to; "" where only the deployment
// knows.
func (o Options) text(root, n *tree.Node) string {
	if n.Is(tree.String) {
		return n.Text
	}
	ref := n.Get("Ref")
	if !ref.Is(tree.String) {
		return ""
	}
	if v, ok := o.Parameters[ref.Text]; ok {
		return v
	}
	if d := root.Dig("Parameters", ref.Text, "Default"); d.Is(tree.String) {
		return d.Text
	}
	return ""
}
