package dynamodb

import (
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Limits of a table (Developer Guide, "Quotas").
const (
	maxLocal     = 5
	maxGlobal    = 20
	maxProjected = 100 // non-key attributes over all indexes
	maxTags      = 50
	maxUnits     = 1_000_000_000_000
)

// newTable checks what a table is to be made of.
func newTable(r ref, in *api.CreateTableInput) (*table, error) {
	if len(r.name) < 3 || len(r.name) > 255 {
		return nil, invalid("TableName must be at least 3 characters long and at most 255 characters long")
	}
	if err := refuseUnbuilt(in); err != nil {
		return nil, err
	}
	t := &table{Account: r.account, Region: r.region, Name: r.name, NextIndex: 1, OnDemand: onDemand(in.BillingMode),
		Protected: wire.Val(in.DeletionProtectionEnabled), InfrequentClass: wire.Val(in.TableClass) == "STANDARD_INFREQUENT_ACCESS", Tags: tagMap(in.Tags)}
	if len(in.Tags) > maxTags {
		return nil, invalid(invalidParam+"Too many tags: at most %d are allowed", maxTags)
	}
	if err := t.provision(in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	if err := t.define(in.AttributeDefinitions); err != nil {
		return nil, err
	}
	if len(in.KeySchema) == 0 {
		return nil, invalid("1 validation error detected: Value null at 'keySchema' failed to satisfy constraint: Member must not be null")
	}
	var err error
	if t.Key, err = t.schema(in.KeySchema); err != nil {
		return nil, err
	}
	if in.LocalSecondaryIndexes != nil {
		if err := t.addLocal(in.LocalSecondaryIndexes); err != nil {
			return nil, err
		}
	}
	if in.GlobalSecondaryIndexes != nil {
		if err := t.addGlobal(in.GlobalSecondaryIndexes); err != nil {
			return nil, err
		}
	}
	return t, t.checkDefinitions()
}

// refuseUnbuilt names what a table here cannot have.
func refuseUnbuilt(in *api.CreateTableInput) error {
	switch {
	case in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled:
		return notBuilt("StreamSpecification of DynamoDB tables")
	case ownKey(in.SSESpecification):
		return notBuilt("SSESpecification of DynamoDB tables")
	case in.ResourcePolicy != nil:
		return notBuilt("ResourcePolicy of DynamoDB tables")
	case in.WarmThroughput != nil:
		return notBuilt("WarmThroughput of DynamoDB tables")
	case in.OnDemandThroughput != nil:
		return notBuilt("OnDemandThroughput of DynamoDB tables")
	case in.GlobalTableSourceArn != nil || in.GlobalTableSettingsReplicationMode != nil:
		return notBuilt("Global tables")
	}
	return nil
}

// ownKey reports whether items are to be encrypted under a key of the account's own.
func ownKey(s *api.SSESpecification) bool {
	return s != nil && (wire.Val(s.Enabled) || s.KMSMasterKeyId != nil || wire.Val(s.SSEType) == "KMS")
}

// provision checks the table's throughput against its billing mode.
func (t *table) provision(p *api.ProvisionedThroughput) error {
	switch {
	case t.OnDemand && p != nil:
		return invalid(invalidParam + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case t.OnDemand:
		return nil
	case p == nil:
		return invalid(invalidParam + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	return t.Throughput.set(p)
}

func (p *throughput) set(in *api.ProvisionedThroughput) error {
	if in.ReadCapacityUnits > maxUnits {
		return invalid("Given value %d for ReadCapacityUnits is out of bounds", in.ReadCapacityUnits)
	}
	if in.WriteCapacityUnits > maxUnits {
		return invalid("Given value %d for WriteCapacityUnits is out of bounds", in.WriteCapacityUnits)
	}
	p.Read, p.Write = in.ReadCapacityUnits, in.WriteCapacityUnits
	return nil
}

// define adds attribute definitions.
func (t *table) define(in []api.AttributeDefinition) error {
	for _, a := range in {
		for _, have := range t.Attributes {
			if have.Name == a.AttributeName && have.Type != a.AttributeType {
				return invalid(invalidParam+"Attribute %s is defined twice with different types", a.AttributeName)
			}
		}
		if t.typeOf(a.AttributeName) == 0 {
			t.Attributes = append(t.Attributes, attribute{a.AttributeName, a.AttributeType})
		}
	}
	return nil
}

// schema checks a key schema: a HASH key, then perhaps a RANGE key, both defined.
func (t *table) schema(in []api.KeySchemaElement) (keySchema, error) {
	names := make([]string, len(in))
	missing := false
	for i, e := range in {
		names[i] = e.AttributeName
		missing = missing || t.typeOf(e.AttributeName) == 0
	}
	switch {
	case len(in) > 2:
		return keySchema{}, invalid("1 validation error detected: Value '%s' at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2", strings.Join(names, ", "))
	case in[0].KeyType != "HASH":
		return keySchema{}, invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(in) == 2 && in[1].KeyType != "RANGE":
		return keySchema{}, invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	case len(in) == 2 && names[0] == names[1]:
		return keySchema{}, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case missing:
		defined := make([]string, len(t.Attributes))
		for i, a := range t.Attributes {
			defined[i] = a.Name
		}
		return keySchema{}, invalid(invalidParam+"Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
			strings.Join(names, ", "), strings.Join(defined, ", "))
	}
	k := keySchema{Hash: names[0]}
	if len(in) == 2 {
		k.Range = names[1]
	}
	return k, nil
}

func (t *table) addLocal(in []api.LocalSecondaryIndex) error {
	if len(in) == 0 {
		return invalid(invalidParam + "List of LocalSecondaryIndexes is empty")
	}
	if t.Key.Range == "" {
		return invalid(invalidParam + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	}
	for _, l := range in {
		ix, err := t.newIndex(l.IndexName, l.KeySchema, l.Projection)
		if err != nil {
			return err
		}
		ix.Local = true
		switch {
		case ix.Key.Range == "":
			return invalid(invalidParam+"Index KeySchema does not have a range key for index: %s", l.IndexName)
		case ix.Key.Hash != t.Key.Hash:
			return invalid(invalidParam+"Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s",
				l.IndexName, ix.Key.Hash, t.Key.Hash)
		}
		t.Indexes = append(t.Indexes, *ix)
	}
	if len(in) > maxLocal {
		return invalid(invalidParam+"Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocal)
	}
	return nil
}

func (t *table) addGlobal(in []api.GlobalSecondaryIndex) error {
	if len(in) == 0 {
		return invalid(invalidParam + "List of GlobalSecondaryIndexes is empty")
	}
	for _, g := range in {
		if g.WarmThroughput != nil || g.OnDemandThroughput != nil {
			return notBuilt("WarmThroughput and OnDemandThroughput of DynamoDB indexes")
		}
		ix, err := t.newIndex(g.IndexName, g.KeySchema, g.Projection)
		if err != nil {
			return err
		}
		if err := t.provisionIndex(ix, g.ProvisionedThroughput); err != nil {
			return err
		}
		t.Indexes = append(t.Indexes, *ix)
	}
	return t.checkGlobal()
}

func (t *table) checkGlobal() error {
	n, projected := 0, 0
	for i := range t.Indexes {
		projected += len(t.Indexes[i].NonKey)
		if !t.Indexes[i].Local {
			n++
		}
	}
	switch {
	case n > maxGlobal:
		return invalid(invalidParam+"GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobal)
	case projected > maxProjected:
		return invalid(invalidParam+"Number of projected attributes over all indexes exceeds the per-table limit of %d", maxProjected)
	}
	return nil
}

func (t *table) provisionIndex(ix *index, p *api.ProvisionedThroughput) error {
	switch {
	case t.OnDemand && p != nil:
		return invalid(invalidParam+"ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", ix.Name)
	case t.OnDemand:
		return nil
	case p == nil:
		return invalid(invalidParam+"ProvisionedThroughput is not specified for index: %s", ix.Name)
	}
	return ix.Throughput.set(p)
}

// newIndex checks what all indexes have and gives it the next number.
func (t *table) newIndex(name string, key []api.KeySchemaElement, p *api.Projection) (*index, error) {
	if _, taken := t.index(name); taken {
		return nil, invalid(invalidParam+"Duplicate index name: %s", name)
	}
	ix := &index{N: t.NextIndex, Name: name}
	var err error
	if ix.Key, err = t.schema(key); err != nil {
		return nil, err
	}
	if p == nil || p.ProjectionType == nil {
		return nil, invalid(invalidParam + "Unknown ProjectionType: null")
	}
	ix.Projection, ix.NonKey = *p.ProjectionType, p.NonKeyAttributes
	switch {
	case ix.Projection != "INCLUDE" && p.NonKeyAttributes != nil:
		return nil, invalid(invalidParam+"ProjectionType is %s, but NonKeyAttributes is specified", ix.Projection)
	case ix.Projection == "INCLUDE" && len(p.NonKeyAttributes) == 0:
		return nil, invalid(invalidParam + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	}
	t.NextIndex++
	return ix, nil
}

// checkDefinitions refuses definitions that no key uses.
func (t *table) checkDefinitions() error {
	for _, a := range t.Attributes {
		used := t.Key.has(a.Name)
		for i := range t.Indexes {
			used = used || t.Indexes[i].Key.has(a.Name)
		}
		if used {
			continue
		}
		if len(t.Indexes) == 0 {
			return invalid(invalidParam + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
		}
		return invalid(invalidParam+"Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]", t.defined(), t.used())
	}
	return nil
}

func (t *table) defined() string {
	var names attributes
	for _, a := range t.Attributes {
		names.add(a.Name)
	}
	return strings.Join(names, ", ")
}

func (t *table) used() string {
	names := attributes(t.Key.names())
	for i := range t.Indexes {
		for _, n := range t.Indexes[i].Key.names() {
			names.add(n)
		}
	}
	return strings.Join(names, ", ")
}
