package pack

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// What the Cloud Development Kit writes: a function's code is in the bucket of a bootstrap stack, and
// the folder beside the template that it would have been uploaded from stands in the metadata
// (aws:asset:path of the property aws:asset:property), as `sam local` reads it too.

// asset is where the code of a synthesised function or layer lies; nil where the resource has none.
func asset(resource *tree.Node, p place) *tree.Node {
	meta := resource.Get("Metadata")
	path := meta.Get("aws:asset:path")
	if !p.object || !path.Is(tree.String) || !meta.Get("aws:asset:property").IsString(p.property) {
		return nil
	}
	return path
}

// inBucket are the edits that have a synthesised resource take its code from a bucket and a key; ok
// tells whether its code is written as the kit writes it.
func inBucket(code *tree.Node, bucket, key string) (edits []edit, ok bool) {
	from := code.Get("S3Bucket")
	if sub := from.Get("Fn::Sub"); sub != nil {
		from = sub
	}
	name := code.Get("S3Key")
	if !from.Is(tree.String) || !name.Is(tree.String) {
		return nil, false
	}
	return []edit{{from.Pos, from.Text, `"` + bucket + `"`}, {name.Pos, name.Text, `"` + key + `"`}}, true
}

// unbootstrapped has a synthesised template not ask for the version of the bootstrap stack, which its
// assets need no more: the parameter is taken for text instead of a name in the parameter store.
func unbootstrapped(root *tree.Node) []edit {
	p := root.Dig("Parameters", "BootstrapVersion")
	typ, name := p.Get("Type"), p.Get("Default")
	if !typ.IsString("AWS::SSM::Parameter::Value<String>") || !name.Is(tree.String) || !strings.HasPrefix(name.Text, "/cdk-bootstrap/") {
		return nil
	}
	return []edit{{typ.Pos, typ.Text, `"String"`}}
}
