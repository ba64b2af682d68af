package logs

import (
	"context"
	"iter"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
)

// Events is where events are kept; *eventlog.Log is one.
type Events interface {
	Append(eventlog.Stream, int64, []eventlog.Event) error
	Read(context.Context, eventlog.Query) iter.Seq2[eventlog.Event, error]
	Span(context.Context, eventlog.Stream) (eventlog.Span, bool, error)
	Size(ctx context.Context, group string) (int64, error)
	Delete(ctx context.Context, s eventlog.Stream, before int64) error
}

// Deps are what the service works with.
type Deps struct {
	IDs    ids.Source
	Events Events
}

// Service is CloudWatch Logs.
type Service struct {
	Deps
	t tables
}

// New makes the service.
func New(d Deps) *Service { return &Service{d, newTables()} }

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: logs.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(logs.OpCreateLogGroup, gate.Write, s.needTagged("logs:CreateLogGroup"), s.createLogGroup),
		gate.On(logs.OpDeleteLogGroup, gate.Write, onGroup(s, "logs:DeleteLogGroup", func(in *logs.DeleteLogGroupInput) *string { return &in.LogGroupName }), s.deleteLogGroup),
		gate.On(logs.OpDescribeLogGroups, gate.Read, s.needDescribe, s.describeLogGroups),
		gate.On(logs.OpPutRetentionPolicy, gate.Write, onGroup(s, "logs:PutRetentionPolicy", func(in *logs.PutRetentionPolicyInput) *string { return &in.LogGroupName }), s.putRetentionPolicy),
		gate.On(logs.OpDeleteRetentionPolicy, gate.Write, onGroup(s, "logs:DeleteRetentionPolicy", func(in *logs.DeleteRetentionPolicyInput) *string { return &in.LogGroupName }), s.deleteRetentionPolicy),

		gate.On(logs.OpCreateLogStream, gate.Write, onStream(s, "logs:CreateLogStream", func(in *logs.CreateLogStreamInput) (string, string) { return in.LogGroupName, in.LogStreamName }), s.createLogStream),
		gate.On(logs.OpDeleteLogStream, gate.Write, onStream(s, "logs:DeleteLogStream", func(in *logs.DeleteLogStreamInput) (string, string) { return in.LogGroupName, in.LogStreamName }), s.deleteLogStream),
		gate.On(logs.OpDescribeLogStreams, gate.Read, onGroup(s, "logs:DescribeLogStreams", func(in *logs.DescribeLogStreamsInput) *string { return named(in.LogGroupName, in.LogGroupIdentifier) }), s.describeLogStreams),

		gate.Recording(gate.On(logs.OpPutLogEvents, gate.Invoke, onStream(s, "logs:PutLogEvents", func(in *logs.PutLogEventsInput) (string, string) { return in.LogGroupName, in.LogStreamName }), s.putLogEvents), recordPut),
		gate.On(logs.OpGetLogEvents, gate.Read, onStream(s, "logs:GetLogEvents", func(in *logs.GetLogEventsInput) (string, string) {
			return *orEmpty(named(in.LogGroupName, in.LogGroupIdentifier)), in.LogStreamName
		}), s.getLogEvents),
		gate.On(logs.OpFilterLogEvents, gate.Read, onGroup(s, "logs:FilterLogEvents", func(in *logs.FilterLogEventsInput) *string { return named(in.LogGroupName, in.LogGroupIdentifier) }), s.filterLogEvents),

		gate.On(logs.OpTagResource, gate.Write, onARN(s, "logs:TagResource", func(in *logs.TagResourceInput) (string, map[string]string) { return in.ResourceArn, in.Tags }), s.tagResource),
		gate.On(logs.OpUntagResource, gate.Write, gate.Untagging(onARN(s, "logs:UntagResource", func(in *logs.UntagResourceInput) (string, map[string]string) { return in.ResourceArn, nil }), func(in *logs.UntagResourceInput) []string { return in.TagKeys }), s.untagResource),
		gate.On(logs.OpListTagsForResource, gate.Read, onARN(s, "logs:ListTagsForResource", func(in *logs.ListTagsForResourceInput) (string, map[string]string) { return in.ResourceArn, nil }), s.listTagsForResource),
		gate.On(logs.OpTagLogGroup, gate.Write, onGroup(s, "logs:TagLogGroup", func(in *logs.TagLogGroupInput) *string { return &in.LogGroupName }), s.tagLogGroup),
		gate.On(logs.OpUntagLogGroup, gate.Write, gate.Untagging(onGroup(s, "logs:UntagLogGroup", func(in *logs.UntagLogGroupInput) *string { return &in.LogGroupName }), func(in *logs.UntagLogGroupInput) []string { return in.Tags }), s.untagLogGroup),
		gate.On(logs.OpListTagsLogGroup, gate.Read, onGroup(s, "logs:ListTagsLogGroup", func(in *logs.ListTagsLogGroupInput) *string { return &in.LogGroupName }), s.listTagsLogGroup),
	}
}

// recordPut says in the trail where events went, not what they say.
func recordPut(in *logs.PutLogEventsInput) any {
	return &logs.PutLogEventsInput{LogGroupName: in.LogGroupName, LogStreamName: in.LogStreamName}
}

// event's group in the event log: the group's own id.
func (g group) events(name string) eventlog.Stream { return eventlog.Stream{Group: g.ID, Name: name} }

// Run removes events that are older than their group keeps them, until ctx ends.
func (s *Service) Run(ctx context.Context, job gate.Job) error { return s.expire(ctx, job) }

var _ Events = (*eventlog.Log)(nil)
