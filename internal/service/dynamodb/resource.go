package dynamodb

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// Resources are the CloudFormation resource types of the service. Ref is the table's name, Arn its
// ARN; a template that asks for a stream, point-in-time recovery or a key of its own is refused
// with the property's place, because nothing here would do it.
func (s *Service) Resources() []gate.Resource {
	return []gate.Resource{{
		Type: "AWS::DynamoDB::Table", Attributes: []string{"Arn"},
		Properties: []string{"TableName", "BillingMode", "DeletionProtectionEnabled", "TableClass",
			"AttributeDefinitions", "AttributeDefinitions.AttributeName", "AttributeDefinitions.AttributeType",
			"KeySchema", "KeySchema.AttributeName", "KeySchema.KeyType",
			"ProvisionedThroughput", "ProvisionedThroughput.ReadCapacityUnits", "ProvisionedThroughput.WriteCapacityUnits",
			"GlobalSecondaryIndexes", "GlobalSecondaryIndexes.IndexName",
			"GlobalSecondaryIndexes.KeySchema", "GlobalSecondaryIndexes.KeySchema.AttributeName", "GlobalSecondaryIndexes.KeySchema.KeyType",
			"GlobalSecondaryIndexes.Projection", "GlobalSecondaryIndexes.Projection.ProjectionType", "GlobalSecondaryIndexes.Projection.NonKeyAttributes",
			"GlobalSecondaryIndexes.ProvisionedThroughput", "GlobalSecondaryIndexes.ProvisionedThroughput.ReadCapacityUnits", "GlobalSecondaryIndexes.ProvisionedThroughput.WriteCapacityUnits",
			"LocalSecondaryIndexes", "LocalSecondaryIndexes.IndexName",
			"LocalSecondaryIndexes.KeySchema", "LocalSecondaryIndexes.KeySchema.AttributeName", "LocalSecondaryIndexes.KeySchema.KeyType",
			"LocalSecondaryIndexes.Projection", "LocalSecondaryIndexes.Projection.ProjectionType", "LocalSecondaryIndexes.Projection.NonKeyAttributes",
			"TimeToLiveSpecification", "TimeToLiveSpecification.AttributeName", "TimeToLiveSpecification.Enabled",
			"Tags", "Tags.Key", "Tags.Value"},
		Replace: []string{"TableName", "KeySchema", "LocalSecondaryIndexes"},
		Create:  createResource,
		Update:  updateResource,
		Delete:  deleteResource,
	}}
}

// spec is a table as a template describes it.
type spec struct {
	create api.CreateTableInput
	ttl    *api.TimeToLiveSpecification
}

func createResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	want, err := readSpec(props)
	if err != nil {
		return gate.Made{}, err
	}
	named := want.create.TableName != ""
	if !named {
		want.create.TableName = m.Name
	}
	c := api.Client{Caller: m}
	name := want.create.TableName
	out, err := c.CreateTable(ctx, &want.create)
	var d *api.TableDescription
	switch {
	case err == nil:
		d = out.TableDescription
	case awserr.Is(err, "ResourceInUseException") && (!named || m.Again): // an earlier attempt may have made it
		got, gerr := c.DescribeTable(ctx, &api.DescribeTableInput{TableName: name})
		if gerr != nil {
			return gate.Made{}, gerr
		}
		d = got.Table
		tags, gerr := c.ListTagsOfResource(ctx, &api.ListTagsOfResourceInput{ResourceArn: *d.TableArn})
		if gerr != nil {
			return gate.Made{}, gerr
		}
		if !m.Owns(name, tagMap(tags.Tags)) {
			return gate.Made{}, err
		}
	default:
		return gate.Made{}, err
	}
	if err := setTTL(ctx, c, name, nil, want.ttl); err != nil {
		return gate.Made{ID: name}, err
	}
	return made(d), nil
}

func made(d *api.TableDescription) gate.Made {
	return gate.Made{ID: *d.TableName, Attributes: map[string]any{"Arn": *d.TableArn}}
}

// setTTL brings time to live from what it was to what is wanted.
func setTTL(ctx context.Context, c api.Client, name string, was, want *api.TimeToLiveSpecification) error {
	on := func(t *api.TimeToLiveSpecification) bool { return t != nil && t.Enabled }
	if on(was) && on(want) && was.AttributeName == want.AttributeName {
		return nil
	}
	if on(was) {
		off := &api.TimeToLiveSpecification{AttributeName: was.AttributeName}
		if _, err := c.UpdateTimeToLive(ctx, &api.UpdateTimeToLiveInput{TableName: name, TimeToLiveSpecification: off}); err != nil {
			return err
		}
	}
	if !on(want) {
		return nil
	}
	now, err := c.DescribeTimeToLive(ctx, &api.DescribeTimeToLiveInput{TableName: name})
	if err != nil {
		return err
	}
	if d := now.TimeToLiveDescription; d.AttributeName != nil && *d.AttributeName == want.AttributeName {
		return nil // an earlier attempt did it
	}
	_, err = c.UpdateTimeToLive(ctx, &api.UpdateTimeToLiveInput{TableName: name, TimeToLiveSpecification: want})
	return err
}

func updateResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	was, err := readSpec(before)
	if err != nil {
		return gate.Made{}, err
	}
	want, err := readSpec(after)
	if err != nil {
		return gate.Made{}, err
	}
	c := api.Client{Caller: m}
	for _, in := range tableUpdates(id, &was.create, &want.create) {
		if _, err := c.UpdateTable(ctx, in); err != nil {
			return gate.Made{}, err
		}
	}
	if err := setTTL(ctx, c, id, was.ttl, want.ttl); err != nil {
		return gate.Made{}, err
	}
	out, err := c.DescribeTable(ctx, &api.DescribeTableInput{TableName: id})
	if err != nil {
		return gate.Made{}, err
	}
	return made(out.Table), setTags(ctx, c, *out.Table.TableArn, was.create.Tags, want.create.Tags)
}

// tableUpdates are the calls that bring a table from what it was to what is wanted: its own
// properties first, then indexes that go, then those that come.
func tableUpdates(id string, was, want *api.CreateTableInput) []*api.UpdateTableInput {
	var out []*api.UpdateTableInput
	own := &api.UpdateTableInput{TableName: id}
	if !reflect.DeepEqual(was.BillingMode, want.BillingMode) || !reflect.DeepEqual(was.ProvisionedThroughput, want.ProvisionedThroughput) {
		own.BillingMode, own.ProvisionedThroughput = want.BillingMode, want.ProvisionedThroughput
		if own.BillingMode == nil {
			own.BillingMode = ptr("PROVISIONED")
		}
	}
	if !reflect.DeepEqual(was.DeletionProtectionEnabled, want.DeletionProtectionEnabled) {
		own.DeletionProtectionEnabled = ptr(want.DeletionProtectionEnabled != nil && *want.DeletionProtectionEnabled)
	}
	if !reflect.DeepEqual(was.TableClass, want.TableClass) {
		own.TableClass = want.TableClass
		if own.TableClass == nil {
			own.TableClass = ptr("STANDARD")
		}
	}
	if !reflect.DeepEqual(own, &api.UpdateTableInput{TableName: id}) {
		out = append(out, own)
	}
	one := func(u api.GlobalSecondaryIndexUpdate) {
		out = append(out, &api.UpdateTableInput{TableName: id, AttributeDefinitions: want.AttributeDefinitions,
			GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{u}})
	}
	same := func(a, b api.GlobalSecondaryIndex) bool {
		a.ProvisionedThroughput, b.ProvisionedThroughput = nil, nil
		return reflect.DeepEqual(a, b)
	}
	for _, g := range was.GlobalSecondaryIndexes {
		if !slices.ContainsFunc(want.GlobalSecondaryIndexes, func(w api.GlobalSecondaryIndex) bool { return same(g, w) }) {
			one(api.GlobalSecondaryIndexUpdate{Delete: &api.DeleteGlobalSecondaryIndexAction{IndexName: g.IndexName}})
		}
	}
	for _, g := range want.GlobalSecondaryIndexes {
		i := slices.IndexFunc(was.GlobalSecondaryIndexes, func(w api.GlobalSecondaryIndex) bool { return same(g, w) })
		if i < 0 {
			one(api.GlobalSecondaryIndexUpdate{Create: &api.CreateGlobalSecondaryIndexAction{IndexName: g.IndexName, KeySchema: g.KeySchema,
				Projection: g.Projection, ProvisionedThroughput: g.ProvisionedThroughput}})
		} else if g.ProvisionedThroughput != nil && !reflect.DeepEqual(g.ProvisionedThroughput, was.GlobalSecondaryIndexes[i].ProvisionedThroughput) {
			one(api.GlobalSecondaryIndexUpdate{Update: &api.UpdateGlobalSecondaryIndexAction{IndexName: g.IndexName, ProvisionedThroughput: g.ProvisionedThroughput}})
		}
	}
	return out
}

func setTags(ctx context.Context, c api.Client, resource string, was, want []api.Tag) error {
	have, need := tagMap(was), tagMap(want)
	var gone []string
	for k := range have {
		if _, stays := need[k]; !stays {
			gone = append(gone, k)
		}
	}
	if len(gone) > 0 {
		if _, err := c.UntagResource(ctx, &api.UntagResourceInput{ResourceArn: resource, TagKeys: gone}); err != nil {
			return err
		}
	}
	if len(want) == 0 || maps.Equal(have, need) {
		return nil
	}
	_, err := c.TagResource(ctx, &api.TagResourceInput{ResourceArn: resource, Tags: want})
	return err
}

func deleteResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := api.Client{Caller: m}.DeleteTable(ctx, &api.DeleteTableInput{TableName: id})
	if awserr.Is(err, "ResourceNotFoundException") {
		return nil
	}
	return err
}

// reader takes a template's properties apart; the first fault stays. Templates write numbers and
// truth values as strings too.
type reader struct{ err error }

func (r *reader) fault(what string, v any) {
	if r.err == nil {
		r.err = invalid("Property %s has the value %v, which it cannot have", what, v)
	}
}

func (r *reader) text(m map[string]any, name string) *string {
	v, ok := m[name]
	if !ok || v == nil {
		return nil
	}
	switch v := v.(type) {
	case string:
		return &v
	case bool, int, int64, float64:
		return ptr(fmt.Sprint(v))
	}
	r.fault(name, v)
	return nil
}

func (r *reader) must(m map[string]any, name string) string {
	if p := r.text(m, name); p != nil {
		return *p
	}
	r.fault(name, nil)
	return ""
}

func (r *reader) number(m map[string]any, name string) int64 {
	text := r.must(m, name)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != float64(int64(n)) {
		r.fault(name, text)
	}
	return int64(n)
}

func (r *reader) truth(m map[string]any, name string) *bool {
	p := r.text(m, name)
	if p == nil {
		return nil
	}
	b, err := strconv.ParseBool(*p)
	if err != nil {
		r.fault(name, *p)
	}
	return &b
}

func (r *reader) group(m map[string]any, name string) map[string]any {
	v, ok := m[name]
	if !ok || v == nil {
		return nil
	}
	g, ok := v.(map[string]any)
	if !ok {
		r.fault(name, v)
	}
	return g
}

func (r *reader) groups(m map[string]any, name string) []map[string]any {
	v, ok := m[name]
	if !ok || v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.fault(name, v)
	}
	out := make([]map[string]any, 0, len(list))
	for _, x := range list {
		g, ok := x.(map[string]any)
		if !ok {
			r.fault(name, x)
		}
		out = append(out, g)
	}
	return out
}

func readSpec(props map[string]any) (*spec, error) {
	r := &reader{}
	out := &spec{create: api.CreateTableInput{BillingMode: r.text(props, "BillingMode"), TableClass: r.text(props, "TableClass"),
		DeletionProtectionEnabled: r.truth(props, "DeletionProtectionEnabled"), KeySchema: r.keySchema(props), ProvisionedThroughput: r.throughput(props)}}
	in := &out.create
	if name := r.text(props, "TableName"); name != nil {
		in.TableName = *name
	}
	for _, a := range r.groups(props, "AttributeDefinitions") {
		in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: r.must(a, "AttributeName"), AttributeType: r.must(a, "AttributeType")})
	}
	for _, g := range r.groups(props, "GlobalSecondaryIndexes") {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, api.GlobalSecondaryIndex{IndexName: r.must(g, "IndexName"),
			KeySchema: r.keySchema(g), Projection: r.projection(g), ProvisionedThroughput: r.throughput(g)})
	}
	for _, l := range r.groups(props, "LocalSecondaryIndexes") {
		in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, api.LocalSecondaryIndex{IndexName: r.must(l, "IndexName"), KeySchema: r.keySchema(l), Projection: r.projection(l)})
	}
	for _, t := range r.groups(props, "Tags") {
		in.Tags = append(in.Tags, api.Tag{Key: r.must(t, "Key"), Value: r.must(t, "Value")})
	}
	if t := r.group(props, "TimeToLiveSpecification"); t != nil {
		enabled := r.truth(t, "Enabled")
		out.ttl = &api.TimeToLiveSpecification{Enabled: enabled != nil && *enabled}
		if out.ttl.Enabled {
			out.ttl.AttributeName = r.must(t, "AttributeName")
		}
	}
	return out, r.err
}

func (r *reader) keySchema(m map[string]any) []api.KeySchemaElement {
	var out []api.KeySchemaElement
	for _, k := range r.groups(m, "KeySchema") {
		out = append(out, api.KeySchemaElement{AttributeName: r.must(k, "AttributeName"), KeyType: r.must(k, "KeyType")})
	}
	return out
}

func (r *reader) throughput(m map[string]any) *api.ProvisionedThroughput {
	p := r.group(m, "ProvisionedThroughput")
	if p == nil {
		return nil
	}
	return &api.ProvisionedThroughput{ReadCapacityUnits: r.number(p, "ReadCapacityUnits"), WriteCapacityUnits: r.number(p, "WriteCapacityUnits")}
}

func (r *reader) projection(m map[string]any) *api.Projection {
	p := r.group(m, "Projection")
	if p == nil {
		return nil
	}
	out := &api.Projection{ProjectionType: r.text(p, "ProjectionType")}
	if list, ok := p["NonKeyAttributes"].([]any); ok {
		for _, x := range list {
			out.NonKeyAttributes = append(out.NonKeyAttributes, fmt.Sprint(x))
		}
	}
	return out
}
