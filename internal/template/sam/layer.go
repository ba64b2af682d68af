package sam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// layer generates a LayerVersion's resource. Layer versions cannot be changed, so its id ends in a
// hash of the definition: a change makes a new one, and the old is retained.
func (m *macro) layer() ([]*generated, error) {
	for _, k := range []string{"LayerName", "LicenseInfo", "Description", "RetentionPolicy"} {
		v := m.get(k)
		if v == nil {
			continue
		}
		if r := m.t.resolve(v); r.Is(tree.String) || !isIntrinsic(r) {
			m.props.Set(k, r)
		}
	}
	retention := tree.Str("Retain")
	attrs := m.attrs()
	if p := attrs.Get("DeletionPolicy"); p != nil {
		retention = p
	}
	if p := m.get("RetentionPolicy"); p != nil {
		switch {
		case isIntrinsic(p):
			return nil, m.errorf(p, "'RetentionPolicy' does not accept intrinsic functions, please use one of the following options: ['Retain', 'Delete']")
		case p.Is(tree.String) && strings.EqualFold(p.Text, "Retain"):
			retention = tree.Str("Retain")
		case p.Is(tree.String) && strings.EqualFold(p.Text, "Delete"):
			retention = tree.Str("Delete")
		default:
			return nil, m.errorf(p, "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].")
		}
	}
	attrs.Set("DeletionPolicy", retention)
	content, err := location(m.get("ContentUri"), "ContentUri")
	if err != nil {
		return nil, err
	}
	for _, a := range m.get("CompatibleArchitectures").List() {
		if !isIntrinsic(a) && !a.IsString("arm64") && !a.IsString("x86_64") {
			return nil, m.errorf(a, "CompatibleArchitectures needs to be a list of 'x86_64' or 'arm64'")
		}
	}
	g := m.main("AWS::Lambda::LayerVersion")
	g.id, g.attrs = m.id+m.layerHash(), attrs
	m.t.renamed[m.id] = g.id
	name := m.get("LayerName").Clone()
	if name.Empty() {
		name = tree.Str(m.id)
	}
	g.props.Set("LayerName", name)
	g.props.Set("Content", content)
	m.pass(g, "Description", "CompatibleArchitectures", "CompatibleRuntimes", "LicenseInfo")
	return []*generated{g}, nil
}

// layerHash hashes the definition without its deletion policies and metadata.
func (m *macro) layerHash() string {
	props := tree.M()
	for _, f := range m.props.Fields {
		if !f.Value.Absent() {
			props.Set(f.Key, f.Value.Clone())
		}
	}
	def := tree.M("Type", prefix+"LayerVersion")
	if d := m.def.Get("DependsOn"); !d.Empty() {
		def.Set("DependsOn", d)
	}
	for _, f := range m.pick("UpdatePolicy", "Condition").Fields {
		def.Set(f.Key, f.Value)
	}
	def.Set("Properties", props)
	return digestNode(tree.M(m.id, def))
}
