package sam

import "github.com/bastide-cloud/bastide/internal/template/tree"

// table generates a SimpleTable's one resource.
func (m *macro) table() ([]*generated, error) {
	g := m.main("AWS::DynamoDB::Table")
	name, typ := tree.Str("id"), "S"
	if k := m.get("PrimaryKey"); !k.Empty() {
		for _, part := range []string{"Name", "Type"} {
			if k.Get(part).Absent() {
				return nil, m.errorf(k, "Property 'PrimaryKey.%s' is required.", part)
			}
		}
		name = k.Get("Name")
		typ = map[string]string{"String": "S", "Number": "N", "Binary": "B"}[k.Get("Type").Text]
		if typ == "" {
			return nil, m.errorf(k.Get("Type"), "Invalid 'Type' %q.", k.Get("Type").Text)
		}
	}
	g.props = tree.M("AttributeDefinitions", tree.L(tree.M("AttributeName", name.Clone(), "AttributeType", typ)),
		"KeySchema", tree.L(tree.M("AttributeName", name.Clone(), "KeyType", "HASH")))
	if p := m.get("ProvisionedThroughput"); !p.Empty() {
		g.props.Set("ProvisionedThroughput", p.Clone())
	} else {
		g.props.Set("BillingMode", tree.Str("PAY_PER_REQUEST"))
	}
	for _, k := range []string{"PointInTimeRecoverySpecification", "SSESpecification", "TableName"} {
		if v := m.get(k); !v.Empty() {
			g.props.Set(k, v.Clone())
		}
	}
	if tags := m.get("Tags"); !tags.Empty() {
		g.props.Set("Tags", tagList(tags))
	}
	return []*generated{g}, nil
}
