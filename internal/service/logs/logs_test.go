package logs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/gate/gatetest"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	other   = "210987654321"
	region  = "eu-west-1"
)

// rig is the service behind the real gate, store and event log. Every closure runs twice. The
// embedded client may do what policy says, everything at first.
type rig struct {
	testing.TB
	logs.Client
	service *Service
	gate    *gate.Gate
	clock   *clock.Manual
	policy  string
	notes   []*gate.Record
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{TB: t, clock: clock.NewManual(time.Date(2030, 1, 20, 3, 4, 5, 0, time.UTC)), policy: allow("logs:*", "*")}
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Options{Dir: dir, Clock: r.clock, RunTwice: true})
	r.check(err)
	events, err := eventlog.Open(dir)
	r.check(err)
	t.Cleanup(func() { r.check(events.Close()); r.check(db.Close()) })
	r.service = New(Deps{Events: events})
	r.gate, err = gate.New(gate.Deps{Store: db, Trail: r, Directory: r, Clock: r.clock}, r.service.Unit())
	r.check(err)
	r.Client = r.as(account, region)
	return r
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) fails(err error, code string) {
	r.Helper()
	if !awserr.Is(err, code) {
		r.Errorf("got %v, want %s", err, code)
	}
}

func (r *rig) as(account, region string) logs.Client {
	r.Helper()
	p, err := identity.Session{Kind: identity.KindUser, Account: account, UserName: "ann", UserARN: "arn:aws:iam::" + account + ":user/ann", UserID: "AIDAANN",
		Issued: r.clock.Now(), Expires: r.clock.Now().Add(time.Hour)}.Principal()
	r.check(err)
	return logs.Client{Caller: gate.Client{Gate: r.gate, Principal: p, Region: region}}
}

// The trail: records of changes are not looked at here, notes are.
func (r *rig) Append(*store.Tx, *gate.Record) error { return nil }

func (r *rig) Note(rec *gate.Record) error {
	r.notes = append(r.notes, rec)
	return nil
}

func (r *rig) Space() string { return "audit" }

// The directory.
func (r *rig) Version() uint64 { return 0 }

func (r *rig) Grant(p identity.Principal) (gate.Grant, error) {
	doc, err := policy.Parse([]byte(r.policy), policy.Identity, policy.Options{})
	return gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.User},
		Set: policy.Set{Identity: []policy.Attached{{Policy: doc, Where: "the test's"}}}}, err
}

// group makes a group with streams.
func (r *rig) group(name string, streams ...string) {
	r.Helper()
	_, err := r.CreateLogGroup(r.Context(), &logs.CreateLogGroupInput{LogGroupName: name})
	r.check(err)
	for _, s := range streams {
		_, err := r.CreateLogStream(r.Context(), &logs.CreateLogStreamInput{LogGroupName: name, LogStreamName: s})
		r.check(err)
	}
}

// put writes events, a second apart, the last one now.
func (r *rig) put(group, stream string, messages ...string) {
	r.Helper()
	in := &logs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream}
	for i, m := range messages {
		at := r.clock.Now().Add(time.Duration(i-len(messages)+1) * time.Second)
		in.LogEvents = append(in.LogEvents, logs.InputLogEvent{Timestamp: at.UnixMilli(), Message: m})
	}
	out, err := r.PutLogEvents(r.Context(), in)
	r.check(err)
	if out.RejectedLogEventsInfo != nil {
		r.Errorf("rejected %+v", out.RejectedLogEventsInfo)
	}
}

func (r *rig) filter(in logs.FilterLogEventsInput) (messages []string) {
	r.Helper()
	for {
		out, err := r.FilterLogEvents(r.Context(), &in)
		r.check(err)
		for _, e := range out.Events {
			messages = append(messages, *e.Message)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return messages
		}
	}
}

func TestGroups(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	for _, name := range []string{"/b", "/a/2", "/a/1"} {
		r.group(name)
	}
	_, err := r.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: "/b"})
	r.fails(err, "ResourceAlreadyExistsException")
	_, err = r.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: "/c", KmsKeyId: new("arn:aws:kms:eu-west-1:123456789012:key/x")})
	if e, ok := err.(*awserr.Error); !ok || e.Kind != awserr.NotImplemented {
		t.Errorf("a key gave %v", err)
	}
	var names []string
	in := &logs.DescribeLogGroupsInput{Limit: new(int32(2))}
	for {
		out, err := r.DescribeLogGroups(ctx, in)
		r.check(err)
		for _, g := range out.LogGroups {
			names = append(names, *g.LogGroupName)
			if *g.Arn != "arn:aws:logs:eu-west-1:123456789012:log-group:"+*g.LogGroupName+":*" {
				t.Errorf("ARN %s", *g.Arn)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if s := strings.Join(names, " "); s != "/a/1 /a/2 /b" {
		t.Errorf("groups %s", s)
	}
	out, err := r.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{LogGroupNamePrefix: new("/a")})
	r.check(err)
	if len(out.LogGroups) != 2 {
		t.Errorf("%d groups under /a", len(out.LogGroups))
	}
	for where, c := range map[string]logs.Client{"account": r.as(other, region), "region": r.as(account, "us-east-1")} {
		if out, err := c.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{}); err != nil || len(out.LogGroups) != 0 {
			t.Errorf("another %s sees %d groups (%v)", where, len(out.LogGroups), err)
		}
		_, err := c.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: "/b"})
		r.fails(err, "ResourceNotFoundException")
	}
	_, err = r.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: "/none"})
	r.fails(err, "ResourceNotFoundException")
	_, err = r.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: "/kept", DeletionProtectionEnabled: new(true)})
	r.check(err)
	_, err = r.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: "/kept"})
	r.fails(err, "ValidationException")
}

// TestAGroupMadeAnewIsEmpty: nobody reads what was in the one before.
func TestAGroupMadeAnewIsEmpty(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.group("/g", "s")
	r.put("/g", "s", "old")
	_, err := r.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: "/g"})
	r.check(err)
	_, err = r.FilterLogEvents(ctx, &logs.FilterLogEventsInput{LogGroupName: new("/g")})
	r.fails(err, "ResourceNotFoundException")
	r.group("/g", "s")
	if got := r.filter(logs.FilterLogEventsInput{LogGroupName: new("/g")}); len(got) != 0 {
		t.Errorf("the new group has %v", got)
	}
	r.put("/g", "s", "new")
	_, err = r.DeleteLogStream(ctx, &logs.DeleteLogStreamInput{LogGroupName: "/g", LogStreamName: "s"})
	r.check(err)
	_, err = r.DeleteLogStream(ctx, &logs.DeleteLogStreamInput{LogGroupName: "/g", LogStreamName: "s"})
	r.fails(err, "ResourceNotFoundException")
	if got := r.filter(logs.FilterLogEventsInput{LogGroupName: new("/g")}); len(got) != 0 {
		t.Errorf("without its stream the group has %v", got)
	}
}

func TestStreams(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.group("/g", "c", "a", "b", "d")
	for i, s := range []string{"b", "d", "a"} {
		r.clock.Advance(time.Duration(i) * time.Minute)
		r.put("/g", s, "x")
	}
	_, err := r.CreateLogStream(ctx, &logs.CreateLogStreamInput{LogGroupName: "/g", LogStreamName: "a"})
	r.fails(err, "ResourceAlreadyExistsException")
	_, err = r.CreateLogStream(ctx, &logs.CreateLogStreamInput{LogGroupName: "/none", LogStreamName: "a"})
	r.fails(err, "ResourceNotFoundException")
	list := func(in logs.DescribeLogStreamsInput, between func()) string {
		var names []string
		in.LogGroupName, in.Limit = new("/g"), new(int32(2))
		for {
			out, err := r.DescribeLogStreams(ctx, &in)
			r.check(err)
			for _, s := range out.LogStreams {
				names = append(names, *s.LogStreamName)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return strings.Join(names, " ")
			}
			if between != nil {
				between()
				between = nil
			}
		}
	}
	for _, c := range []struct {
		in   logs.DescribeLogStreamsInput
		want string
	}{
		{logs.DescribeLogStreamsInput{}, "a b c d"},
		{logs.DescribeLogStreamsInput{Descending: new(true)}, "d c b a"},
		{logs.DescribeLogStreamsInput{OrderBy: new("LastEventTime"), Descending: new(true)}, "a d b c"},
		{logs.DescribeLogStreamsInput{LogStreamNamePrefix: new("b")}, "b"},
	} {
		if got := list(c.in, nil); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	got := list(logs.DescribeLogStreamsInput{}, func() {
		_, err := r.DeleteLogStream(ctx, &logs.DeleteLogStreamInput{LogGroupName: "/g", LogStreamName: "b"})
		r.check(err)
	})
	if got != "a b c d" {
		t.Errorf("with a stream deleted between pages: %s", got)
	}
	_, err = r.DescribeLogStreams(ctx, &logs.DescribeLogStreamsInput{LogGroupName: new("/g"), OrderBy: new("LastEventTime"), LogStreamNamePrefix: new("a")})
	r.fails(err, "InvalidParameterException")
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.group("/g", "s")
	var all []string
	for i := range 7 {
		all = append(all, fmt.Sprintf("line %d", i))
	}
	r.put("/g", "s", all...)
	get := func(in logs.GetLogEventsInput) (*logs.GetLogEventsOutput, string) {
		t.Helper()
		in.LogGroupName, in.LogStreamName = new("/g"), "s"
		out, err := r.GetLogEvents(ctx, &in)
		r.check(err)
		var text []string
		for _, e := range out.Events {
			text = append(text, strings.TrimPrefix(*e.Message, "line "))
		}
		return out, strings.Join(text, "")
	}
	_, plain := r.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupName: new("/g"), LogStreamName: "s", Unmask: new(true)})
	_, filtered := r.FilterLogEvents(ctx, &logs.FilterLogEventsInput{LogGroupName: new("/g"), Unmask: new(true)})
	for _, err := range []error{plain, filtered} {
		if e, ok := err.(*awserr.Error); !ok || e.Kind != awserr.NotImplemented || !strings.Contains(e.Message, "unmask") {
			t.Errorf("unmask gave %v", err)
		}
	}
	out, text := get(logs.GetLogEventsInput{StartFromHead: new(true), Limit: new(int32(3)), Unmask: new(false)})
	if text != "012" {
		t.Errorf("from the head: %s", text)
	}
	next, text := get(logs.GetLogEventsInput{NextToken: out.NextForwardToken, Limit: new(int32(3))})
	if text != "345" {
		t.Errorf("forward: %s", text)
	}
	if _, text := get(logs.GetLogEventsInput{NextToken: next.NextBackwardToken, Limit: new(int32(2))}); text != "12" {
		t.Errorf("backward: %s", text)
	}
	last, text := get(logs.GetLogEventsInput{NextToken: next.NextForwardToken})
	if text != "6" {
		t.Errorf("the end: %s", text)
	}
	end, text := get(logs.GetLogEventsInput{NextToken: last.NextForwardToken})
	if text != "" || *end.NextForwardToken != *last.NextForwardToken {
		t.Errorf("at the end the token changes, by which clients know it: %q", text)
	}
	if _, text := get(logs.GetLogEventsInput{Limit: new(int32(2))}); text != "56" {
		t.Errorf("the newest: %s", text)
	}
	from, to := r.clock.Now().Add(-4*time.Second).UnixMilli(), r.clock.Now().Add(-2*time.Second).UnixMilli()
	if _, text := get(logs.GetLogEventsInput{StartTime: &from, EndTime: &to, StartFromHead: new(true)}); text != "23" {
		t.Errorf("between (the end is exclusive): %s", text)
	}
	if got := r.filter(logs.FilterLogEventsInput{LogGroupName: new("/g"), StartTime: &from, EndTime: &to, Limit: new(int32(2))}); len(got) != 3 {
		t.Errorf("filtered between (the end is inclusive): %v", got)
	}
	for _, bad := range []string{"x", "f/!", "f/" + "eA", "g/MS8x"} {
		_, err := r.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupName: new("/g"), LogStreamName: "s", NextToken: &bad})
		r.fails(err, "InvalidParameterException")
	}
	_, err := r.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupName: new("/g"), LogStreamName: "none"})
	r.fails(err, "ResourceNotFoundException")
	_, err = r.GetLogEvents(ctx, &logs.GetLogEventsInput{LogStreamName: "s"})
	r.fails(err, "InvalidParameterException")
}

// TestPutIsChecked: order, age, span and size, as the API's reference has them.
func TestPutIsChecked(t *testing.T) {
	r := newRig(t)
	r.group("/g", "s")
	now := r.clock.Now()
	at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	put := func(events ...logs.InputLogEvent) (*logs.PutLogEventsOutput, error) {
		return r.PutLogEvents(t.Context(), &logs.PutLogEventsInput{LogGroupName: "/g", LogStreamName: "s", LogEvents: events})
	}
	_, err := put(logs.InputLogEvent{Timestamp: at(0), Message: "a"}, logs.InputLogEvent{Timestamp: at(-time.Second), Message: "b"})
	r.fails(err, "InvalidParameterException")
	_, err = put(logs.InputLogEvent{Timestamp: at(-25 * time.Hour), Message: "a"}, logs.InputLogEvent{Timestamp: at(0), Message: "b"})
	r.fails(err, "InvalidParameterException")
	_, err = put(logs.InputLogEvent{Timestamp: at(0), Message: strings.Repeat("x", maxMessage+1)})
	r.fails(err, "InvalidParameterException")
	half := strings.Repeat("x", maxBatch/2)
	_, err = put(logs.InputLogEvent{Timestamp: at(0), Message: half}, logs.InputLogEvent{Timestamp: at(0), Message: half})
	r.fails(err, "InvalidParameterException")
	_, err = put()
	if err == nil {
		t.Error("nothing was put")
	}
	out, err := put(logs.InputLogEvent{Timestamp: at(-14*24*time.Hour - time.Minute), Message: "too old"}, logs.InputLogEvent{Timestamp: at(-14*24*time.Hour + time.Minute), Message: "old"})
	r.check(err)
	if info := out.RejectedLogEventsInfo; info == nil || *info.TooOldLogEventEndIndex != 1 {
		t.Errorf("rejected %+v", out.RejectedLogEventsInfo)
	}
	out, err = put(logs.InputLogEvent{Timestamp: at(time.Hour), Message: "soon"}, logs.InputLogEvent{Timestamp: at(3 * time.Hour), Message: "too new"})
	r.check(err)
	if info := out.RejectedLogEventsInfo; info == nil || *info.TooNewLogEventStartIndex != 1 {
		t.Errorf("rejected %+v", out.RejectedLogEventsInfo)
	}
	if got := strings.Join(r.filter(logs.FilterLogEventsInput{LogGroupName: new("/g")}), " "); got != "old soon" {
		t.Errorf("kept %s", got)
	}
	_, err = r.PutLogEvents(t.Context(), &logs.PutLogEventsInput{LogGroupName: "/g", LogStreamName: "none", LogEvents: []logs.InputLogEvent{{Timestamp: at(0), Message: "x"}}})
	r.fails(err, "ResourceNotFoundException")
	for _, rec := range r.notes {
		if text := fmt.Sprintf("%+v", rec.In); strings.Contains(text, "soon") || strings.Contains(text, "too new") {
			t.Errorf("a record has what was logged: %s", text)
		}
	}
}

func TestFilter(t *testing.T) {
	r := newRig(t)
	r.group("/g", "web/1", "web/2", "job")
	r.put("/g", "web/1", "ERROR one", `{"level":"error","code":500}`)
	r.put("/g", "web/2", "ERROR two")
	r.put("/g", "job", "fine")
	for _, c := range []struct {
		in   logs.FilterLogEventsInput
		want int
	}{
		{logs.FilterLogEventsInput{}, 4},
		{logs.FilterLogEventsInput{FilterPattern: new("ERROR")}, 2},
		{logs.FilterLogEventsInput{FilterPattern: new("ERROR"), Limit: new(int32(1))}, 2},
		{logs.FilterLogEventsInput{FilterPattern: new(`{ $.code = 500 }`)}, 1},
		{logs.FilterLogEventsInput{LogStreamNamePrefix: new("web/")}, 3},
		{logs.FilterLogEventsInput{LogStreamNames: []string{"job", "web/2"}}, 2},
	} {
		c.in.LogGroupName = new("/g")
		if got := r.filter(c.in); len(got) != c.want {
			t.Errorf("%+v: %v, want %d", c.in, got, c.want)
		}
	}
	id := "arn:aws:logs:eu-west-1:123456789012:log-group:/g"
	if got := r.filter(logs.FilterLogEventsInput{LogGroupIdentifier: &id}); len(got) != 4 {
		t.Errorf("by its ARN: %v", got)
	}
	for _, in := range []logs.FilterLogEventsInput{
		{LogGroupName: new("/g"), FilterPattern: new("{ $.x")},
		{LogGroupName: new("/g"), LogStreamNames: []string{"job"}, LogStreamNamePrefix: new("web")},
		{},
	} {
		_, err := r.FilterLogEvents(t.Context(), &in)
		r.fails(err, "InvalidParameterException")
	}
}

// TestForeignARNs name nothing here, though a group of that name is here too.
func TestForeignARNs(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.group("/g", "s")
	for _, id := range []string{"arn:aws:logs:eu-west-1:" + other + ":log-group:/g", "arn:aws:logs:us-east-1:" + account + ":log-group:/g"} {
		_, err := r.TagResource(ctx, &logs.TagResourceInput{ResourceArn: id, Tags: map[string]string{"a": "b"}})
		r.fails(err, "ResourceNotFoundException")
		_, err = r.ListTagsForResource(ctx, &logs.ListTagsForResourceInput{ResourceArn: id})
		r.fails(err, "ResourceNotFoundException")
		_, err = r.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupIdentifier: &id, LogStreamName: "s"})
		r.fails(err, "ResourceNotFoundException")
		_, err = r.FilterLogEvents(ctx, &logs.FilterLogEventsInput{LogGroupIdentifier: &id})
		r.fails(err, "ResourceNotFoundException")
	}
}

func TestTags(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	_, err := r.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: "/g", Tags: map[string]string{"team": "blue"}})
	r.check(err)
	_, err = r.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: "/h", Tags: map[string]string{"AWS:x": "y"}})
	r.fails(err, "InvalidParameterException")
	id := "arn:aws:logs:eu-west-1:123456789012:log-group:/g"
	_, err = r.TagResource(ctx, &logs.TagResourceInput{ResourceArn: id, Tags: map[string]string{"cost": "7"}})
	r.check(err)
	_, err = r.TagResource(ctx, &logs.TagResourceInput{ResourceArn: id, Tags: map[string]string{"aws:x": "7"}})
	r.fails(err, "InvalidParameterException")
	_, err = r.UntagResource(ctx, &logs.UntagResourceInput{ResourceArn: id, TagKeys: []string{"cost"}})
	r.check(err)
	out, err := r.ListTagsLogGroup(ctx, &logs.ListTagsLogGroupInput{LogGroupName: "/g"})
	r.check(err)
	if len(out.Tags) != 1 || out.Tags["team"] != "blue" {
		t.Errorf("tags %v", out.Tags)
	}
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint("k", i)] = "v"
	}
	_, err = r.TagLogGroup(ctx, &logs.TagLogGroupInput{LogGroupName: "/g", Tags: many})
	r.fails(err, "TooManyTagsException")
	r.policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:DeleteLogGroup","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}]}`
	_, err = r.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: "/g"})
	if e, ok := err.(*awserr.Error); !ok || e.Kind != awserr.AccessDenied {
		t.Errorf("another team deleted: %v", err)
	}
	r.policy = strings.Replace(r.policy, `"red"`, `"blue"`, 1)
	_, err = r.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: "/g"})
	r.check(err)
}

// TestNeeds: AWS's actions on AWS's resources: what a role for one function's logs may write.
func TestNeeds(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.group("/aws/lambda/f", "s")
	r.group("/aws/lambda/g", "s")
	r.policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/f:*"}]}`
	event := []logs.InputLogEvent{{Timestamp: r.clock.Now().UnixMilli(), Message: "x"}}
	for name, want := range map[string]bool{"/aws/lambda/f": true, "/aws/lambda/g": false, "/aws/lambda/ff": false} {
		_, err := r.CreateLogStream(ctx, &logs.CreateLogStreamInput{LogGroupName: name, LogStreamName: "new"})
		if (err == nil) != want {
			t.Errorf("a stream of %s: %v", name, err)
		}
		_, err = r.PutLogEvents(ctx, &logs.PutLogEventsInput{LogGroupName: name, LogStreamName: "s", LogEvents: event})
		if (err == nil) != want {
			t.Errorf("events of %s: %v", name, err)
		}
	}
	_, err := r.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: "/aws/lambda/h"})
	if e, ok := err.(*awserr.Error); !ok || e.Kind != awserr.AccessDenied {
		t.Errorf("a group was made: %v", err)
	}
}

// TestRetention: days that AWS offers; what is older goes, and is not taken any more.
func TestRetention(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.group("/g", "s")
	r.group("/forever", "s")
	r.put("/g", "s", "old")
	r.put("/forever", "s", "old")
	_, err := r.PutRetentionPolicy(ctx, &logs.PutRetentionPolicyInput{LogGroupName: "/g", RetentionInDays: 2})
	r.fails(err, "InvalidParameterException")
	_, err = r.PutRetentionPolicy(ctx, &logs.PutRetentionPolicyInput{LogGroupName: "/g", RetentionInDays: 3})
	r.check(err)
	r.clock.Advance(4 * 24 * time.Hour)
	r.Client = r.as(account, region)
	r.put("/g", "s", "new")
	job := gate.Job{Gate: r.gate, Name: "ExpireEvents", Service: logs.Service, Account: account, Region: region}
	r.check(r.service.expireOnce(context.Background(), job))
	if got := strings.Join(r.filter(logs.FilterLogEventsInput{LogGroupName: new("/g")}), " "); got != "new" {
		t.Errorf("kept %s", got)
	}
	if got := r.filter(logs.FilterLogEventsInput{LogGroupName: new("/forever")}); len(got) != 1 {
		t.Errorf("without retention: %v", got)
	}
	out, err := r.PutLogEvents(ctx, &logs.PutLogEventsInput{LogGroupName: "/g", LogStreamName: "s", LogEvents: []logs.InputLogEvent{{Timestamp: r.clock.Now().Add(-80 * time.Hour).UnixMilli(), Message: "late"}}})
	r.check(err)
	if out.RejectedLogEventsInfo == nil {
		t.Error("an event older than its group keeps was taken")
	}
	_, err = r.DeleteRetentionPolicy(ctx, &logs.DeleteRetentionPolicyInput{LogGroupName: "/g"})
	r.check(err)
	groups, err := r.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{LogGroupNamePrefix: new("/g")})
	r.check(err)
	if groups.LogGroups[0].RetentionInDays != nil || wire.Val(groups.LogGroups[0].StoredBytes) == 0 {
		t.Errorf("group %+v", groups.LogGroups[0])
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	r.check(r.service.Run(ended, job))
}

// TestTheCloudFormationResource: made, changed, deleted through the public operations.
func TestTheCloudFormationResource(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	res := r.service.Resources()[0]
	m := gate.Making{Caller: r.Client.Caller, Account: account, Region: region, Name: "stack-Logs-1"}
	tags := func(k, v string) []any { return []any{map[string]any{"Key": k, "Value": v}} }
	made, err := res.Create(ctx, m, map[string]any{"RetentionInDays": 7, "Tags": tags("a", "b")})
	r.check(err)
	if made.ID != "stack-Logs-1" || made.Attributes["Arn"] != "arn:aws:logs:eu-west-1:123456789012:log-group:stack-Logs-1:*" {
		t.Errorf("made %+v", made)
	}
	_, err = res.Update(ctx, m, made.ID, map[string]any{"RetentionInDays": 7, "Tags": tags("a", "b")}, map[string]any{"Tags": tags("c", "d")})
	r.check(err)
	out, err := r.ListTagsLogGroup(ctx, &logs.ListTagsLogGroupInput{LogGroupName: made.ID})
	r.check(err)
	groups, err := r.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{})
	r.check(err)
	if len(out.Tags) != 1 || out.Tags["c"] != "d" || groups.LogGroups[0].RetentionInDays != nil {
		t.Errorf("after the update: tags %v, group %+v", out.Tags, groups.LogGroups[0])
	}
	_, err = res.Create(ctx, gate.Making{Caller: r.Client.Caller, Account: account, Region: region, Name: "x"}, map[string]any{"LogGroupName": "y", "RetentionInDays": "many"})
	if err == nil {
		t.Error("a retention that is no number was taken")
	}
	for range 2 { // one that is gone already is no error
		r.check(res.Delete(ctx, m, made.ID, nil))
	}
}

// What a template drops from a group goes back to what a fresh group has.
func TestUpdatesOfAGroup(t *testing.T) {
	r := newRig(t)
	n := 0
	gatetest.Settings{Resource: r.service.Resources()[0], Making: gate.Making{Caller: r.Client.Caller, Account: account, Region: region, Name: "x"},
		Least: func() map[string]any {
			n++
			return map[string]any{"LogGroupName": fmt.Sprintf("/g%03d/end", n)}
		},
		More: map[string]map[string]any{"RetentionInDays": {"RetentionInDays": 7},
			"Tags": {"Tags": []any{map[string]any{"Key": "a", "Value": "b"}}}},
		Fixed:    []string{"DeletionProtectionEnabled"}, // an update refuses to change it
		Changing: []string{"Arn", "LogGroupArn", "LogGroupName", "CreationTime"},
		Read: func(id string, _ map[string]any) any {
			groups, err := r.DescribeLogGroups(t.Context(), &logs.DescribeLogGroupsInput{LogGroupNamePrefix: &id})
			r.check(err)
			tags, err := r.ListTagsLogGroup(t.Context(), &logs.ListTagsLogGroupInput{LogGroupName: id})
			r.check(err)
			return []any{groups.LogGroups, len(tags.Tags), tags.Tags["a"]}
		}}.Check(t)

	group, m := r.service.Resources()[0], gate.Making{Caller: r.Client.Caller, Account: account, Region: region, Name: "x"}
	least, full := map[string]any{"LogGroupName": "/p"}, map[string]any{"LogGroupName": "/p", "DeletionProtectionEnabled": true, "RetentionInDays": 7}
	_, err := group.Create(t.Context(), m, least)
	r.check(err)
	if _, err := group.Update(t.Context(), m, "/p", least, full); err == nil || !strings.Contains(err.Error(), "NotImplemented") {
		t.Errorf("a change of the protection gives %v", err)
	}
	_, err = group.Update(t.Context(), m, "/p", full, least) // as a rollback does
	r.check(err)
}
