package dynamodb

import (
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) createTable(c *gate.Call, in *api.CreateTableInput) (*api.CreateTableOutput, error) {
	r, err := refer(c, in.TableName)
	if err != nil {
		return nil, err
	}
	t, err := newTable(r, in)
	if err != nil {
		return nil, err
	}
	t.ID, t.Created = s.ids.UUID(), c.Now()
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateTableOutput, error) {
		_, exists, err := s.table(tx, r)
		if err != nil {
			return nil, err
		}
		if exists {
			return nil, awserr.New("ResourceInUseException", 400, "Table already exists: %s", t.Name)
		}
		return &api.CreateTableOutput{TableDescription: t.describe(map[int]tally{})}, s.saveTable(tx, t)
	})
}

func (s *Service) describeTable(c *gate.Call, in *api.DescribeTableInput) (*api.DescribeTableOutput, error) {
	out := &api.DescribeTableOutput{}
	err := s.view(c, in.TableName, func(tx *store.Tx, t *table) error {
		n, err := s.count(tx, t)
		out.Table = t.describe(n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// view runs fn with a table that must exist.
func (s *Service) view(c *gate.Call, name string, fn func(*store.Tx, *table) error) error {
	r, err := refer(c, name)
	if err != nil {
		return err
	}
	return c.View(func(tx *store.Tx) error {
		t, err := s.mustTable(tx, r)
		if err != nil {
			return err
		}
		return fn(tx, t)
	})
}

func (s *Service) mustTable(tx *store.Tx, r ref) (*table, error) {
	t, ok, err := s.table(tx, r)
	if err == nil && !ok {
		err = noTable(r.name)
	}
	return t, err
}

func (s *Service) deleteTable(c *gate.Call, in *api.DeleteTableInput) (*api.DeleteTableOutput, error) {
	r, err := refer(c, in.TableName)
	if err != nil {
		return nil, err
	}
	defer s.nudge()
	return gate.Commit(c, func(tx *store.Tx) (*api.DeleteTableOutput, error) {
		t, err := s.mustTable(tx, r)
		if err != nil {
			return nil, err
		}
		if t.Protected {
			return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
		}
		if err := s.bury(tx, store.K(t.Account, t.Region, t.ID)); err != nil {
			return nil, err
		}
		if _, err := s.t.tables.Delete(tx, tableKey(t.Account, t.Region, t.Name)); err != nil {
			return nil, err
		}
		d := t.describe(nil)
		d.TableStatus = ptr("DELETING")
		return &api.DeleteTableOutput{TableDescription: d}, nil
	})
}

func (s *Service) listTables(c *gate.Call, in *api.ListTablesInput) (*api.ListTablesOutput, error) {
	limit := 100
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	r := store.Range{}
	if in.ExclusiveStartTableName != nil {
		r.After = tableKey(c.Account(), c.Region(), *in.ExclusiveStartTableName)
	}
	out := &api.ListTablesOutput{}
	err := c.View(func(tx *store.Tx) error {
		out = &api.ListTablesOutput{TableNames: []string{}}
		for e, err := range s.t.tables.Scan(tx, store.K(c.Account(), c.Region()), r) {
			if err != nil {
				return err
			}
			if len(out.TableNames) == limit {
				out.LastEvaluatedTableName = &out.TableNames[limit-1]
				return nil
			}
			out.TableNames = append(out.TableNames, e.Key.Text(2))
		}
		return nil
	})
	return out, err
}

// Limits that an account of AWS begins with; nothing is throttled here.
const (
	accountUnits = 80_000
	tableUnits   = 40_000
)

func (s *Service) describeLimits(*gate.Call, *api.DescribeLimitsInput) (*api.DescribeLimitsOutput, error) {
	return &api.DescribeLimitsOutput{AccountMaxReadCapacityUnits: ptr(int64(accountUnits)), AccountMaxWriteCapacityUnits: ptr(int64(accountUnits)),
		TableMaxReadCapacityUnits: ptr(int64(tableUnits)), TableMaxWriteCapacityUnits: ptr(int64(tableUnits))}, nil
}

// describeBackups says that a table has no backups and no point-in-time recovery, which is so until
// they are built; Terraform's provider asks after every table.
func (s *Service) describeBackups(c *gate.Call, in *api.DescribeContinuousBackupsInput) (*api.DescribeContinuousBackupsOutput, error) {
	err := s.view(c, in.TableName, func(*store.Tx, *table) error { return nil })
	if awserr.Is(err, "ResourceNotFoundException") {
		return nil, awserr.New("TableNotFoundException", 400, "Table not found: %s", in.TableName)
	}
	if err != nil {
		return nil, err
	}
	return &api.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &api.ContinuousBackupsDescription{
		ContinuousBackupsStatus:        "DISABLED",
		PointInTimeRecoveryDescription: &api.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: ptr("DISABLED")},
	}}, nil
}

// describeEndpoints sends clients that discover endpoints back to the address that they came to.
func (s *Service) describeEndpoints(c *gate.Call, _ *api.DescribeEndpointsInput) (*api.DescribeEndpointsOutput, error) {
	return &api.DescribeEndpointsOutput{Endpoints: []api.Endpoint{{Address: c.Source().Host, CachePeriodInMinutes: 1440}}}, nil
}

// Up to how many rows, and bytes of them, a table's items are counted one by one.
const (
	maxCounted      = 10_000
	maxCountedBytes = 32 << 20
)

// tally is how many items a table has and how many bytes they are.
type tally struct{ items, bytes int64 }

// count walks the table and its indexes. Beyond maxCounted it estimates from how much of the hash
// range the counted rows cover: keys are spread over it evenly. By index number.
func (s *Service) count(tx *store.Tx, t *table) (map[int]tally, error) {
	out := map[int]tally{}
	numbers := []int{0}
	for i := range t.Indexes {
		numbers = append(numbers, t.Indexes[i].N)
	}
	for _, n := range numbers {
		var c tally
		last, read := 0, 0
		for e, err := range s.t.items.Scan(tx, t.rows(n), store.Range{Limit: maxCounted}) {
			if err != nil {
				return nil, err
			}
			size, err := sizeOfRow(e.Value)
			if err != nil {
				return nil, err
			}
			c.items++
			c.bytes += size
			if key := e.Key.Text(4); len(key) >= bucketBytes {
				last = int(key[0])<<8 | int(key[1])
			}
			if read += len(e.Value); read > maxCountedBytes {
				break
			}
		}
		if c.items == maxCounted || read > maxCountedBytes {
			c.items = c.items * buckets / int64(last+1)
			c.bytes = c.bytes * buckets / int64(last+1)
		}
		out[n] = c
	}
	return out, nil
}

// describe is the table as answers show it; without counts it tells nothing of the items.
func (t *table) describe(counts map[int]tally) *api.TableDescription {
	d := &api.TableDescription{TableName: &t.Name, TableArn: ptr(t.ARN()), TableId: &t.ID, TableStatus: ptr("ACTIVE"),
		CreationDateTime: &t.Created, KeySchema: t.Key.elements(), ProvisionedThroughput: t.Throughput.describe(), DeletionProtectionEnabled: &t.Protected}
	d.ItemCount, d.TableSizeBytes = counted(counts, 0)
	for _, a := range t.Attributes {
		d.AttributeDefinitions = append(d.AttributeDefinitions, api.AttributeDefinition{AttributeName: a.Name, AttributeType: a.Type})
	}
	if t.OnDemand {
		d.BillingModeSummary = &api.BillingModeSummary{BillingMode: ptr("PAY_PER_REQUEST"), LastUpdateToPayPerRequestDateTime: stamp(t.OnDemandSince)}
	} else if !t.OnDemandSince.IsZero() {
		d.BillingModeSummary = &api.BillingModeSummary{BillingMode: ptr("PROVISIONED"), LastUpdateToPayPerRequestDateTime: stamp(t.OnDemandSince)}
	}
	if t.InfrequentClass {
		d.TableClassSummary = &api.TableClassSummary{TableClass: ptr("STANDARD_INFREQUENT_ACCESS")}
	}
	for i := range t.Indexes {
		t.describeIndex(d, &t.Indexes[i], counts)
	}
	return d
}

func counted(counts map[int]tally, n int) (items, bytes *int64) {
	if counts == nil {
		return nil, nil
	}
	c := counts[n]
	return &c.items, &c.bytes
}

func (t *table) describeIndex(d *api.TableDescription, ix *index, counts map[int]tally) {
	items, bytes := counted(counts, ix.N)
	projection := &api.Projection{ProjectionType: &ix.Projection, NonKeyAttributes: ix.NonKey}
	if ix.Local {
		d.LocalSecondaryIndexes = append(d.LocalSecondaryIndexes, api.LocalSecondaryIndexDescription{IndexName: &ix.Name,
			KeySchema: ix.Key.elements(), Projection: projection, IndexSizeBytes: bytes, ItemCount: items, IndexArn: ptr(t.indexARN(ix))})
		return
	}
	g := api.GlobalSecondaryIndexDescription{IndexName: &ix.Name, KeySchema: ix.Key.elements(), Projection: projection, IndexStatus: ptr("ACTIVE"),
		ProvisionedThroughput: ix.Throughput.describe(), IndexSizeBytes: bytes, ItemCount: items, IndexArn: ptr(t.indexARN(ix))}
	if t.filling(ix.N) {
		g.IndexStatus, g.Backfilling = ptr("CREATING"), ptr(true)
	}
	d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, g)
}

func (k keySchema) elements() []api.KeySchemaElement {
	out := []api.KeySchemaElement{{AttributeName: k.Hash, KeyType: "HASH"}}
	if k.Range != "" {
		out = append(out, api.KeySchemaElement{AttributeName: k.Range, KeyType: "RANGE"})
	}
	return out
}

func (p throughput) describe() *api.ProvisionedThroughputDescription {
	return &api.ProvisionedThroughputDescription{ReadCapacityUnits: &p.Read, WriteCapacityUnits: &p.Write, NumberOfDecreasesToday: ptr(int64(0)),
		LastIncreaseDateTime: stamp(p.Increased), LastDecreaseDateTime: stamp(p.Decreased)}
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func tagMap(tags []api.Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}

func onDemand(mode *string) bool { return wire.Val(mode) == "PAY_PER_REQUEST" }

// sizeOfRow is the size of a stored item as DynamoDB counts it.
func sizeOfRow(row []byte) (int64, error) {
	it, err := item.FromBinary(row)
	return int64(it.Size()), err
}
