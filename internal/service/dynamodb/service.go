package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
)

// Deps are what the service works with.
type Deps struct {
	IDs ids.Source
}

// Service is DynamoDB.
type Service struct {
	ids    ids.Source
	t      tables
	exprs  *expression.Cache
	loaded loader
	wake   chan struct{} // there is work for the job
}

const maxCachedExpressions = 4096

// New makes the service.
func New(d Deps) *Service {
	return &Service{ids: d.IDs, t: newTables(), exprs: expression.NewCache(maxCachedExpressions), wake: make(chan struct{}, 1)}
}

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: api.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler. Records of data operations tell the table,
// the keys and the expressions, not the items.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(api.OpCreateTable, gate.Write, s.needCreate, s.createTable),
		gate.On(api.OpDescribeTable, gate.Read, needTable(s, "DescribeTable", func(in *api.DescribeTableInput) string { return in.TableName }), s.describeTable),
		gate.On(api.OpUpdateTable, gate.Write, needTable(s, "UpdateTable", func(in *api.UpdateTableInput) string { return in.TableName }), s.updateTable),
		gate.On(api.OpDeleteTable, gate.Write, needTable(s, "DeleteTable", func(in *api.DeleteTableInput) string { return in.TableName }), s.deleteTable),
		gate.On(api.OpListTables, gate.Read, needAny[api.ListTablesInput]("ListTables"), s.listTables),
		gate.On(api.OpDescribeLimits, gate.Read, needAny[api.DescribeLimitsInput]("DescribeLimits"), s.describeLimits),
		gate.On(api.OpDescribeEndpoints, gate.Read, needAny[api.DescribeEndpointsInput]("DescribeEndpoints"), s.describeEndpoints),
		gate.On(api.OpTagResource, gate.Write, s.needTag, s.tagResource),
		gate.On(api.OpUntagResource, gate.Write, s.needUntag, s.untagResource),
		gate.On(api.OpListTagsOfResource, gate.Read, s.needListTags, s.listTags),
		gate.On(api.OpDescribeTimeToLive, gate.Read, needTable(s, "DescribeTimeToLive", func(in *api.DescribeTimeToLiveInput) string { return in.TableName }), s.describeTTL),
		gate.On(api.OpUpdateTimeToLive, gate.Write, needTable(s, "UpdateTimeToLive", func(in *api.UpdateTimeToLiveInput) string { return in.TableName }), s.updateTTL),
		gate.On(api.OpDescribeContinuousBackups, gate.Read, needTable(s, "DescribeContinuousBackups", func(in *api.DescribeContinuousBackupsInput) string { return in.TableName }), s.describeBackups),

		gate.Recording(gate.On(api.OpPutItem, gate.Write, s.needPut, s.putItem), recordPut),
		gate.Recording(gate.On(api.OpUpdateItem, gate.Write, s.needUpdate, s.updateItem), recordUpdate),
		gate.Recording(gate.On(api.OpDeleteItem, gate.Write, s.needDelete, s.deleteItem), recordDelete),
		gate.On(api.OpGetItem, gate.Read, s.needGet, s.getItem),
		gate.Recording(gate.On(api.OpQuery, gate.Read, s.needQuery, s.query), recordQuery),
		gate.Recording(gate.On(api.OpScan, gate.Read, s.needScan, s.scan), recordScan),

		gate.On(api.OpBatchGetItem, gate.Read, s.needBatchGet, s.batchGet),
		gate.Recording(gate.On(api.OpBatchWriteItem, gate.Write, s.needBatchWrite, s.batchWrite), recordBatchWrite),
		gate.On(api.OpTransactGetItems, gate.Read, s.needTransactGet, s.transactGet),
		gate.Recording(gate.On(api.OpTransactWriteItems, gate.Write, s.needTransactWrite, s.transactWrite), recordTransactWrite),
	}
}
