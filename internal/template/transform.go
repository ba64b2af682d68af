package template

import (
	"github.com/bastide-cloud/bastide/internal/template/sam"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Transform applies the transforms that the template names, in CloudFormation's order: the
// language extensions first, then SAM. A template without any is returned as it is. Where something
// is not built, the error says all of it, and the template that comes back holds the rest.
func (t *Template) Transform(in Inputs) (*Template, error) {
	out := t
	if t.uses(LanguageExtensions) {
		params, err := t.bindParameters(in.Parameters)
		if err != nil {
			return nil, err
		}
		root := t.root.Clone()
		if err := expandLoops(root, params, in); err != nil {
			return nil, err
		}
		out = &Template{root: root, transforms: t.transforms, macros: t.macros}
		if err := out.outline2(); err != nil {
			return nil, err
		}
	}
	if t.uses(Serverless) {
		params, err := out.bindParameters(in.Parameters)
		if err != nil {
			return nil, err
		}
		given := map[string]*Node{"AWS::Region": tree.Str(in.Region), "AWS::Partition": tree.Str(in.partition())}
		for _, p := range params {
			given[p.Name] = tree.Str(p.Given)
		}
		root, err := sam.Transform(out.root, sam.Options{Parameters: given, Partition: in.partition(), Load: in.Load})
		if root == nil {
			return nil, err
		}
		out = &Template{root: root, transforms: t.transforms}
		if bad := out.resourceOutline(); bad != nil {
			if err == nil {
				err = bad
			}
			return nil, err // nothing may be bound that has no outline
		}
		return out, err
	}
	return out, nil
}

// outline2 checks what the loops have made.
func (t *Template) outline2() error {
	if n := t.root.Get("Resources"); len(n.Fields) > maxResources {
		return tree.Errorf(n.Pos, "Template format error: Number of resources, %d, is greater than maximum allowed, %d", len(n.Fields), maxResources)
	}
	if err := t.sections(); err != nil {
		return err
	}
	return t.resourceOutline()
}
