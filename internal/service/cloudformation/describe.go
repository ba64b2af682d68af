package cloudformation

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// find reads the stack that a request names.
func (s *Service) find(tx *store.Tx, c *gate.Call, name string) (*stack, error) {
	st, ok, err := s.t.named(tx, c.Account(), c.Region(), name)
	if err == nil && !ok {
		err = noStack(name)
	}
	return st, err
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(millis(t))
}

func (s *Service) describeStacks(c *gate.Call, in *api.DescribeStacksInput) (*api.DescribeStacksOutput, error) {
	out := &api.DescribeStacksOutput{Stacks: []api.Stack{}}
	err := c.View(func(tx *store.Tx) error {
		out.Stacks = []api.Stack{}
		if in.StackName != nil {
			st, err := s.find(tx, c, *in.StackName)
			if err == nil {
				out.Stacks = append(out.Stacks, st.public())
			}
			return err
		}
		return s.each(tx, c, func(st *stack) {
			if st.Status != "DELETE_COMPLETE" {
				out.Stacks = append(out.Stacks, st.public())
			}
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out.Stacks, func(a, b api.Stack) int { return b.CreationTime.Compare(a.CreationTime) })
	out.Stacks, out.NextToken, err = page(out.Stacks, in.NextToken)
	return out, err
}

func (s *Service) each(tx *store.Tx, c *gate.Call, do func(*stack)) error {
	for e, err := range s.t.stacks.Scan(tx, store.K(c.Account(), c.Region()), store.Range{}) {
		if err != nil {
			return err
		}
		do(&e.Value)
	}
	return nil
}

func (s *stack) public() api.Stack {
	out := api.Stack{StackId: new(s.id()), StackName: s.Name, ChangeSetId: optional(s.ChangeSet), Description: optional(s.Description),
		CreationTime: millis(s.Created), LastUpdatedTime: optionalTime(s.Updated), DeletionTime: optionalTime(s.Deleted),
		StackStatus: s.Status, StackStatusReason: optional(s.Reason), DisableRollback: new(s.DisableRollback || s.OnFailure == "DO_NOTHING"),
		Capabilities: s.Capabilities, RoleARN: optional(s.Role), EnableTerminationProtection: new(s.Protected),
		RollbackConfiguration: &api.RollbackConfiguration{}, NotificationARNs: []string{}, Tags: publicTags(s.Tags),
		DriftInformation: &api.StackDriftInformation{StackDriftStatus: "NOT_CHECKED"}}
	if s.Timeout > 0 {
		out.TimeoutInMinutes = new(int32(s.Timeout / time.Minute))
	}
	out.Parameters = publicParameters(s.Shown)
	for _, o := range s.Outputs {
		out.Outputs = append(out.Outputs, api.Output{OutputKey: new(o.Name), OutputValue: new(o.Value), Description: optional(o.Description), ExportName: optional(o.Export)})
	}
	return out
}

func publicParameters(shown []parameter) []api.Parameter {
	var out []api.Parameter
	for _, p := range shown {
		out = append(out, api.Parameter{ParameterKey: new(p.Name), ParameterValue: new(p.Value)})
	}
	return out
}

func publicTags(tags map[string]string) []api.Tag {
	out := []api.Tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, api.Tag{Key: k, Value: tags[k]})
	}
	return out
}

func (s *Service) listStacks(c *gate.Call, in *api.ListStacksInput) (*api.ListStacksOutput, error) {
	out := &api.ListStacksOutput{}
	err := c.View(func(tx *store.Tx) error {
		out.StackSummaries = []api.StackSummary{}
		return s.each(tx, c, func(st *stack) {
			if len(in.StackStatusFilter) > 0 && !slices.Contains(in.StackStatusFilter, st.Status) {
				return
			}
			out.StackSummaries = append(out.StackSummaries, api.StackSummary{StackId: new(st.id()), StackName: st.Name,
				TemplateDescription: optional(st.Description), CreationTime: millis(st.Created), LastUpdatedTime: optionalTime(st.Updated),
				DeletionTime: optionalTime(st.Deleted), StackStatus: st.Status, StackStatusReason: optional(st.Reason),
				DriftInformation: &api.StackDriftInformationSummary{StackDriftStatus: "NOT_CHECKED"}})
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out.StackSummaries, func(a, b api.StackSummary) int { return b.CreationTime.Compare(a.CreationTime) })
	out.StackSummaries, out.NextToken, err = page(out.StackSummaries, in.NextToken)
	return out, err
}

// describeEvents gives the newest first. A token says which event a page ended at, so that events
// that come meanwhile do not shift the pages.
func (s *Service) describeEvents(c *gate.Call, in *api.DescribeStackEventsInput) (*api.DescribeStackEventsOutput, error) {
	out := &api.DescribeStackEventsOutput{}
	err := c.View(func(tx *store.Tx) error {
		st, ok, err := s.t.named(tx, c.Account(), c.Region(), in.StackName)
		if err == nil && !ok { // worded as no other operation's; cdk waits for these words when it deletes
			err = invalid("Stack [%s] does not exist", in.StackName)
		}
		if err != nil {
			return err
		}
		out.StackEvents, out.NextToken = []api.StackEvent{}, nil
		r := store.Range{Reverse: true, Limit: pageSize + 1}
		if in.NextToken != nil {
			seq, err := readToken(*in.NextToken)
			if err != nil {
				return err
			}
			r.After = st.place().event(seq)
		}
		var last int64
		for e, err := range s.t.events.Scan(tx, st.place().key(), r) {
			if err != nil {
				return err
			}
			if len(out.StackEvents) == pageSize {
				out.NextToken = new(writeToken(last))
				break
			}
			last = e.Key.Int(3)
			out.StackEvents = append(out.StackEvents, e.Value.public(st))
		}
		return nil
	})
	return out, err
}

func (e event) public(st *stack) api.StackEvent {
	return api.StackEvent{StackId: st.id(), EventId: e.ID, StackName: st.Name, LogicalResourceId: new(e.LogicalID), PhysicalResourceId: new(e.PhysicalID),
		ResourceType: new(e.Type), Timestamp: millis(e.At), ResourceStatus: new(e.Status), ResourceStatusReason: optional(e.Reason),
		ResourceProperties: optional(e.Properties), ClientRequestToken: optional(e.Token)}
}

// stackRows are the stack that a request names and its resources in the order of their names.
func (s *Service) stackRows(c *gate.Call, name string) (st *stack, rows []*deploy.Row, err error) {
	err = c.View(func(tx *store.Tx) error {
		if st, err = s.find(tx, c, name); err != nil {
			return err
		}
		byID, err := s.rows(tx, st.place())
		if err != nil {
			return err
		}
		rows = slices.SortedFunc(maps.Values(byID), func(a, b *deploy.Row) int { return cmp.Compare(a.LogicalID, b.LogicalID) })
		return nil
	})
	return st, rows, err
}

func (s *Service) describeResources(c *gate.Call, in *api.DescribeStackResourcesInput) (*api.DescribeStackResourcesOutput, error) {
	if (in.StackName == nil) == (in.PhysicalResourceId == nil) {
		return nil, invalid("Either a StackName or a PhysicalResourceId must be specified, and not both.")
	}
	name := in.StackName
	if name == nil {
		id, err := s.ownerOf(c, *in.PhysicalResourceId)
		if err != nil {
			return nil, err
		}
		name = &id
	}
	st, rows, err := s.stackRows(c, *name)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeStackResourcesOutput{StackResources: []api.StackResource{}}
	for _, r := range rows {
		if in.LogicalResourceId != nil && *in.LogicalResourceId != r.LogicalID {
			continue
		}
		out.StackResources = append(out.StackResources, api.StackResource{StackName: new(st.Name), StackId: new(st.id()), LogicalResourceId: r.LogicalID,
			PhysicalResourceId: optional(r.PhysicalID()), ResourceType: r.Type(), Timestamp: millis(r.Changed), ResourceStatus: r.Status,
			ResourceStatusReason: optional(r.Reason), DriftInformation: &api.StackResourceDriftInformation{StackResourceDriftStatus: "NOT_CHECKED"}})
	}
	if in.LogicalResourceId != nil && len(out.StackResources) == 0 {
		return nil, invalid("Stack '%s' does not exist", *name)
	}
	return out, nil
}

// ownerOf finds the stack that a physical resource belongs to.
func (s *Service) ownerOf(c *gate.Call, physicalID string) (id string, err error) {
	err = c.View(func(tx *store.Tx) error {
		id = ""
		var live []*stack
		if err := s.each(tx, c, func(st *stack) { live = append(live, st) }); err != nil {
			return err
		}
		for _, st := range live {
			rows, err := s.rows(tx, st.place())
			if err != nil {
				return err
			}
			for _, r := range rows {
				if st.Status != "DELETE_COMPLETE" && r.Now != nil && r.Now.PhysicalID == physicalID {
					id = st.id()
				}
			}
		}
		if id == "" {
			return invalid("Stack for %s does not exist", physicalID)
		}
		return nil
	})
	return id, err
}

func (s *Service) describeResource(c *gate.Call, in *api.DescribeStackResourceInput) (*api.DescribeStackResourceOutput, error) {
	st, rows, err := s.stackRows(c, in.StackName)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.LogicalID != in.LogicalResourceId {
			continue
		}
		d := &api.StackResourceDetail{StackName: new(st.Name), StackId: new(st.id()), LogicalResourceId: r.LogicalID, PhysicalResourceId: optional(r.PhysicalID()),
			ResourceType: r.Type(), LastUpdatedTimestamp: millis(r.Changed), ResourceStatus: r.Status, ResourceStatusReason: optional(r.Reason),
			DriftInformation: &api.StackResourceDriftInformation{StackResourceDriftStatus: "NOT_CHECKED"}}
		if r.Now != nil && r.Now.Metadata != nil {
			b, err := json.Marshal(r.Now.Metadata)
			if err != nil {
				return nil, err
			}
			d.Metadata = new(string(b))
		}
		return &api.DescribeStackResourceOutput{StackResourceDetail: d}, nil
	}
	return nil, invalid("Resource %s does not exist for stack %s", in.LogicalResourceId, in.StackName)
}

func (s *Service) listResources(c *gate.Call, in *api.ListStackResourcesInput) (*api.ListStackResourcesOutput, error) {
	_, rows, err := s.stackRows(c, in.StackName)
	if err != nil {
		return nil, err
	}
	out := &api.ListStackResourcesOutput{StackResourceSummaries: []api.StackResourceSummary{}}
	for _, r := range rows {
		out.StackResourceSummaries = append(out.StackResourceSummaries, api.StackResourceSummary{LogicalResourceId: r.LogicalID, PhysicalResourceId: optional(r.PhysicalID()),
			ResourceType: r.Type(), LastUpdatedTimestamp: millis(r.Changed), ResourceStatus: r.Status, ResourceStatusReason: optional(r.Reason),
			DriftInformation: &api.StackResourceDriftInformationSummary{StackResourceDriftStatus: "NOT_CHECKED"}})
	}
	out.StackResourceSummaries, out.NextToken, err = page(out.StackResourceSummaries, in.NextToken)
	return out, err
}
