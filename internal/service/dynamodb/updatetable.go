package dynamodb

import (
	"slices"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

func (s *Service) updateTable(c *gate.Call, in *api.UpdateTableInput) (*api.UpdateTableOutput, error) {
	r, err := refer(c, in.TableName)
	if err != nil {
		return nil, err
	}
	switch {
	case in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled:
		return nil, notBuilt("StreamSpecification of DynamoDB tables")
	case ownKey(in.SSESpecification):
		return nil, notBuilt("SSESpecification of DynamoDB tables")
	case in.ReplicaUpdates != nil || in.MultiRegionConsistency != nil || in.GlobalTableWitnessUpdates != nil || in.GlobalTableSettingsReplicationMode != nil:
		return nil, notBuilt("Global tables")
	case in.OnDemandThroughput != nil || in.WarmThroughput != nil:
		return nil, notBuilt("OnDemandThroughput and WarmThroughput of DynamoDB tables")
	}
	defer s.nudge()
	out, err := gate.Commit(c, func(tx *store.Tx) (*api.UpdateTableOutput, error) {
		old, err := s.mustTable(tx, r)
		if err != nil {
			return nil, err
		}
		t := old.copy()
		if err := s.change(tx, t, in); err != nil {
			return nil, err
		}
		return &api.UpdateTableOutput{TableDescription: t.describe(nil)}, s.saveTable(tx, t)
	})
	if err != nil {
		return nil, err
	}
	// Counting takes long enough to hold up other writers, so it is done behind the change.
	counted, err := s.describeTable(c, &api.DescribeTableInput{TableName: in.TableName})
	if err != nil {
		return nil, err
	}
	out.TableDescription = counted.Table
	return out, nil
}

// copy may be changed without changing t, which others hold.
func (t *table) copy() *table {
	c := *t
	c.Attributes, c.Indexes, c.Fills = slices.Clone(t.Attributes), slices.Clone(t.Indexes), slices.Clone(t.Fills)
	c.Tags = make(map[string]string, len(t.Tags))
	for k, v := range t.Tags {
		c.Tags[k] = v
	}
	return &c
}

// change makes the changes of an UpdateTable to t and its rows.
func (s *Service) change(tx *store.Tx, t *table, in *api.UpdateTableInput) error {
	changed := false
	if in.DeletionProtectionEnabled != nil {
		t.Protected, changed = *in.DeletionProtectionEnabled, true
	}
	if in.TableClass != nil {
		t.InfrequentClass, changed = *in.TableClass == "STANDARD_INFREQUENT_ACCESS", true
	}
	if in.BillingMode != nil || in.ProvisionedThroughput != nil {
		if err := t.rebill(in, tx.Now()); err != nil {
			return err
		}
		changed = true
	}
	if in.StreamSpecification != nil || in.SSESpecification != nil {
		changed = true // switching off what is off
	}
	if err := t.define(in.AttributeDefinitions); err != nil {
		return err
	}
	for _, u := range in.GlobalSecondaryIndexUpdates {
		if err := s.changeIndex(tx, t, u); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	t.forget()
	return t.checkGlobal()
}

// rebill changes billing mode and throughput.
func (t *table) rebill(in *api.UpdateTableInput, now time.Time) error {
	before := t.Throughput
	was := t.OnDemand
	if in.BillingMode != nil {
		t.OnDemand = onDemand(in.BillingMode)
	}
	if t.OnDemand && in.ProvisionedThroughput != nil {
		return invalid(invalidParam + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	}
	if t.OnDemand {
		if !was {
			t.OnDemandSince, t.Throughput = now, throughput{}
			for i := range t.Indexes {
				t.Indexes[i].Throughput = throughput{}
			}
		}
		return nil
	}
	p := in.ProvisionedThroughput
	if p == nil {
		if was {
			return invalid(invalidParam + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
		}
		return nil
	}
	if !was && before.Read == p.ReadCapacityUnits && before.Write == p.WriteCapacityUnits {
		return invalid("The provisioned throughput for the table will not change. The requested value equals the current value. "+
			"Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. "+
			"Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d. "+
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
			before.Read, p.ReadCapacityUnits, before.Write, p.WriteCapacityUnits)
	}
	if err := t.Throughput.set(p); err != nil {
		return err
	}
	t.Throughput.date(before, now)
	return nil
}

// date notes when the throughput grew or shrank.
func (p *throughput) date(before throughput, now time.Time) {
	if p.Read > before.Read || p.Write > before.Write {
		p.Increased = now
	}
	if p.Read < before.Read || p.Write < before.Write {
		p.Decreased = now
	}
}

func (s *Service) changeIndex(tx *store.Tx, t *table, u api.GlobalSecondaryIndexUpdate) error {
	switch {
	case u.Create != nil:
		return s.createIndex(tx, t, u.Create)
	case u.Delete != nil:
		ix, err := t.globalIndex(u.Delete.IndexName)
		if err != nil {
			return err
		}
		if err := s.bury(tx, t.rows(ix.N)); err != nil {
			return err
		}
		t.Fills = slices.DeleteFunc(t.Fills, func(f fill) bool { return f.N == ix.N })
		t.Indexes = slices.DeleteFunc(t.Indexes, func(i index) bool { return i.Name == u.Delete.IndexName })
		return nil
	case u.Update != nil:
		ix, err := t.globalIndex(u.Update.IndexName)
		if err != nil {
			return err
		}
		if u.Update.OnDemandThroughput != nil || u.Update.WarmThroughput != nil {
			return notBuilt("WarmThroughput and OnDemandThroughput of DynamoDB indexes")
		}
		before := ix.Throughput
		if err := t.provisionIndex(ix, u.Update.ProvisionedThroughput); err != nil {
			return err
		}
		ix.Throughput.date(before, tx.Now())
		return nil
	}
	return invalid("One or more parameter values were invalid: One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null")
}

func (t *table) globalIndex(name string) (*index, error) {
	ix, ok := t.index(name)
	if !ok || ix.Local {
		return nil, awserr.New("ResourceNotFoundException", 400, "Requested resource not found")
	}
	return ix, nil
}

// createIndex adds a global index, which a job fills from the table's items where they are many.
func (s *Service) createIndex(tx *store.Tx, t *table, in *api.CreateGlobalSecondaryIndexAction) error {
	if in.OnDemandThroughput != nil || in.WarmThroughput != nil {
		return notBuilt("WarmThroughput and OnDemandThroughput of DynamoDB indexes")
	}
	if _, taken := t.index(in.IndexName); taken {
		return invalid("Attempting to create an index which already exists")
	}
	ix, err := t.newIndex(in.IndexName, in.KeySchema, in.Projection)
	if err != nil {
		return err
	}
	if err := t.provisionIndex(ix, in.ProvisionedThroughput); err != nil {
		return err
	}
	t.Indexes = append(t.Indexes, *ix)
	t.Fills = append(t.Fills, fill{N: ix.N})
	return s.fill(tx, t)
}

// forget drops definitions that no key uses any more, as the service does when an index goes.
func (t *table) forget() {
	used := attributes(t.Key.names())
	for i := range t.Indexes {
		for _, n := range t.Indexes[i].Key.names() {
			used.add(n)
		}
	}
	t.Attributes = slices.DeleteFunc(t.Attributes, func(a attribute) bool { return !slices.Contains(used, a.Name) })
}
