package cloudformation

import (
	"encoding/json"
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func noChangeSet(name string) error {
	return awserr.New("ChangeSetNotFound", 404, "ChangeSet [%s] does not exist", name)
}

// changeSetName is the name in a change set's id, or the name itself.
func changeSetName(nameOrID string) string {
	if a, err := arn.Parse(nameOrID); err == nil {
		if parts := strings.Split(a.Resource, "/"); len(parts) == 3 {
			return parts[1]
		}
	}
	return nameOrID
}

// stackOf is the stack that a change set belongs to, by its name or id; the change set's id says
// it too.
func (s *Service) stackOf(view func(func(*store.Tx) error) error, account, region string, stackName, set *string) (string, bool, error) {
	if stackName != nil {
		return *stackName, true, nil
	}
	if set == nil {
		return "", false, nil
	}
	a, err := arn.Parse(*set)
	if err != nil {
		return "", false, nil
	}
	id := ""
	err = view(func(tx *store.Tx) error {
		id = ""
		for e, err := range s.t.changes.Scan(tx, store.K(account, region), store.Range{}) {
			if err != nil {
				return err
			}
			if a.Resource != "changeSet/"+e.Value.Name+"/"+e.Value.UUID {
				continue
			}
			st, ok, err := s.t.stacks.Get(tx, place{account, region, e.Key.Text(2)}.key())
			if err != nil {
				return err
			}
			if ok {
				id = st.id()
			}
		}
		return nil
	})
	return id, id != "", err
}

// findChangeSet reads a change set by its name and stack, or by its id.
func (s *Service) findChangeSet(tx *store.Tx, c *gate.Call, stackName *string, nameOrID string) (*stack, *changeSet, error) {
	name, ok, err := s.stackOf(func(fn func(*store.Tx) error) error { return fn(tx) }, c.Account(), c.Region(), stackName, &nameOrID)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		if _, perr := arn.Parse(nameOrID); perr == nil {
			return nil, nil, noChangeSet(nameOrID)
		}
		return nil, nil, invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
	}
	st, ok, err := s.t.named(tx, c.Account(), c.Region(), name)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, noChangeSet(nameOrID)
	}
	for e, err := range s.t.changes.Scan(tx, st.place().key(), store.Range{}) {
		if err != nil {
			return nil, nil, err
		}
		if e.Value.Name == nameOrID || st.changeSetID(&e.Value) == nameOrID {
			return st, &e.Value, nil
		}
	}
	return nil, nil, noChangeSet(nameOrID)
}

const noChanges = "The submitted information didn't contain changes. Submit different information to create a change set."

func (s *Service) createChangeSet(c *gate.Call, in *api.CreateChangeSetInput) (*api.CreateChangeSetOutput, error) {
	asked, err := askedBy("CreateChangeSet", in.ClientToken, in)
	if err != nil {
		return nil, err
	}
	if before, err := s.proposedBefore(c, in.StackName, asked); err != nil || before != nil {
		return before, err
	}
	kind, st, w, err := s.changeSetWish(c, in)
	if err != nil {
		return nil, err
	}
	p, err := s.propose(c, st, w)
	if err != nil {
		return nil, err
	}
	set := changeSet{Name: in.ChangeSetName, UUID: s.ids.UUID(), Type: kind, Status: "CREATE_COMPLETE", Execution: "AVAILABLE",
		Description: wire.Val(in.Description), Created: c.Now(), Role: wire.Val(in.RoleARN), OnFailure: wire.Val(in.OnStackFailure), Token: asked.token}
	if set.Changes, err = s.plan(c, st, p); err != nil {
		return nil, err
	}
	if kind == "UPDATE" {
		differs, err := s.differs(c, st, p)
		if err != nil {
			return nil, err
		}
		if !differs {
			set.Status, set.Execution, set.Reason = "FAILED", "UNAVAILABLE", noChanges
		}
	}
	hideChanges(set.Changes, p)
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateChangeSetOutput, error) {
		if before, err := s.proposed(tx, c, in.StackName, asked); err != nil || before != nil {
			return before, err
		}
		kept := set
		kept.Version = p.version
		now := *st
		var err error
		if kept.Version.Parameters, err = s.sealParameters(tx, now.place(), p.given); err != nil {
			return nil, err
		}
		have, ok, err := s.t.stacks.Get(tx, now.place().key())
		if err != nil {
			return nil, err
		}
		if !ok {
			if _, taken, err := s.t.named(tx, now.Account, now.Region, now.Name); err != nil || taken {
				return nil, orErr(err, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", now.Name, kept.Name))
			}
			if err := s.review(tx, &now); err != nil {
				return nil, err
			}
			have = now
		}
		for e, err := range s.t.changes.Scan(tx, have.place().key(), store.Range{}) {
			if err != nil {
				return nil, err
			}
			if e.Value.Name == kept.Name {
				return nil, awserr.New("AlreadyExistsException", 400, "ChangeSet %s already exists", kept.Name)
			}
		}
		if kept.Asked, err = s.sealAsking(tx, have.place(), asked); err != nil {
			return nil, err
		}
		out := &api.CreateChangeSetOutput{Id: new(have.changeSetID(&kept)), StackId: new(have.id())}
		return out, s.t.changes.Put(tx, have.place().change(kept.UUID), kept)
	})
}

func orErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// review makes a stack that only a change set knows yet.
func (s *Service) review(tx *store.Tx, st *stack) error {
	st.Status, st.Reason = "REVIEW_IN_PROGRESS", "User Initiated"
	if err := s.tell(tx, st, event{Status: st.Status, Reason: st.Reason}); err != nil {
		return err
	}
	return s.t.put(tx, st)
}

// changeSetWish reads a request for a change set: what it is to be of, and its stack, which does
// not exist yet for the first change set of the type CREATE.
func (s *Service) changeSetWish(c *gate.Call, in *api.CreateChangeSetInput) (kind string, st *stack, w wish, err error) {
	err = refusals{notifications: len(in.NotificationARNs) > 0, rollback: in.RollbackConfiguration,
		resourcesToImport: len(in.ResourcesToImport) > 0 || wire.Val(in.ImportExistingResources) || wire.Val(in.ChangeSetType) == "IMPORT"}.check()
	if err != nil {
		return "", nil, w, err
	}
	if wire.Val(in.IncludeNestedStacks) || in.DeploymentMode != nil {
		return "", nil, w, unbuilt("Nested stacks and deployment modes are not built in this version of Bastide.")
	}
	body, err := source(c, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return "", nil, w, err
	}
	if (body != "") == wire.Val(in.UsePreviousTemplate) {
		return "", nil, w, invalid("Either Template URL or Template Body must be specified.")
	}
	kind = "UPDATE"
	if wire.Val(in.ChangeSetType) == "CREATE" {
		kind = "CREATE"
	}
	var have *stack
	var ok bool
	err = c.View(func(tx *store.Tx) (err error) {
		have, ok, err = s.t.named(tx, c.Account(), c.Region(), in.StackName)
		return err
	})
	switch {
	case err != nil:
		return "", nil, w, err
	case kind == "UPDATE" && !ok:
		return "", nil, w, invalid("Stack [%s] does not exist", in.StackName)
	case kind == "UPDATE" && !slices.Contains(updatable, have.Status):
		return "", nil, w, notUpdatable(have)
	case kind == "CREATE" && ok && have.Status != "REVIEW_IN_PROGRESS":
		return "", nil, w, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", in.StackName, in.ChangeSetName)
	}
	if kind == "UPDATE" {
		st, w, err = s.updateOf(c, in.StackName, body, in.Parameters, in.Tags)
	} else {
		if st = have; !ok {
			if err := checkName(in.StackName); err != nil {
				return "", nil, w, err
			}
			st = &stack{Account: c.Account(), Region: c.Region(), Name: in.StackName, UUID: s.ids.UUID(), Created: c.Now()}
		}
		w = wish{body: body, parameters: in.Parameters}
		w.tags, err = tagMap(in.Tags)
	}
	w.capabilities, w.types, w.shown = in.Capabilities, in.ResourceTypes, true
	return kind, st, w, err
}

// hideChanges takes the values of NoEcho parameters out of what a change set shows.
func hideChanges(changes []deploy.Change, p *proposal) {
	j := &journal{}
	for _, d := range p.graph.Parameters {
		if d.NoEcho && d.Given != "" {
			j.secrets = append(j.secrets, d.Given)
		}
	}
	for i := range changes {
		for n := range changes[i].Details {
			d := &changes[i].Details[n]
			d.Before, d.After = j.hideIn(d.Before), j.hideIn(d.After)
		}
	}
}

func (s *Service) describeChangeSet(c *gate.Call, in *api.DescribeChangeSetInput) (*api.DescribeChangeSetOutput, error) {
	var st *stack
	var set *changeSet
	err := c.View(func(tx *store.Tx) (err error) {
		st, set, err = s.findChangeSet(tx, c, in.StackName, in.ChangeSetName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.DescribeChangeSetOutput{ChangeSetName: &set.Name, ChangeSetId: new(st.changeSetID(set)), StackId: new(st.id()), StackName: &st.Name,
		Description: optional(set.Description), Parameters: publicParameters(set.Version.Shown), CreationTime: new(millis(set.Created)),
		ExecutionStatus: &set.Execution, Status: &set.Status, StatusReason: optional(set.Reason), NotificationARNs: []string{},
		RollbackConfiguration: &api.RollbackConfiguration{}, Capabilities: set.Version.Capabilities, Tags: publicTags(set.Version.Tags),
		Changes: []api.Change{}, IncludeNestedStacks: new(false), OnStackFailure: optional(set.OnFailure)}
	for _, ch := range set.Changes {
		out.Changes = append(out.Changes, publicChange(ch, wire.Val(in.IncludePropertyValues)))
	}
	out.Changes, out.NextToken, err = page(out.Changes, in.NextToken)
	return out, err
}

func publicChange(ch deploy.Change, values bool) api.Change {
	r := &api.ResourceChange{Action: new(ch.Action), LogicalResourceId: new(ch.LogicalID), PhysicalResourceId: optional(ch.PhysicalID),
		ResourceType: new(ch.Type), Replacement: optional(ch.Replacement), Scope: []string{}, Details: []api.ResourceChangeDetail{}}
	for _, d := range ch.Details {
		if !slices.Contains(r.Scope, d.Attribute) {
			r.Scope = append(r.Scope, d.Attribute)
		}
		target := &api.ResourceTargetDefinition{Attribute: new(d.Attribute), Name: optional(d.Name), RequiresRecreation: new(d.Recreate)}
		if values {
			target.BeforeValue, target.AfterValue = valueText(d.Before), valueText(d.After)
		}
		detail := api.ResourceChangeDetail{Target: target, Evaluation: new("Static"), ChangeSource: new("DirectModification")}
		if d.Dynamic {
			detail.Evaluation, detail.ChangeSource, detail.CausingEntity = new("Dynamic"), new("ResourceReference"), optional(d.Cause)
		}
		r.Details = append(r.Details, detail)
	}
	return api.Change{Type: new("Resource"), ResourceChange: r}
}

func valueText(v any) *string {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return &v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil // cannot be: properties came from JSON or YAML
	}
	return new(string(b))
}

func (s *Service) listChangeSets(c *gate.Call, in *api.ListChangeSetsInput) (*api.ListChangeSetsOutput, error) {
	out := &api.ListChangeSetsOutput{}
	err := c.View(func(tx *store.Tx) error {
		st, err := s.find(tx, c, in.StackName)
		if err != nil {
			return err
		}
		out.Summaries = []api.ChangeSetSummary{}
		for e, err := range s.t.changes.Scan(tx, st.place().key(), store.Range{}) {
			if err != nil {
				return err
			}
			set := e.Value
			out.Summaries = append(out.Summaries, api.ChangeSetSummary{StackId: new(st.id()), StackName: &st.Name, ChangeSetId: new(st.changeSetID(&set)),
				ChangeSetName: &set.Name, ExecutionStatus: &set.Execution, Status: &set.Status, StatusReason: optional(set.Reason),
				CreationTime: new(millis(set.Created)), Description: optional(set.Description), IncludeNestedStacks: new(false)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Summaries, out.NextToken, err = page(out.Summaries, in.NextToken)
	return out, err
}

func (s *Service) deleteChangeSet(c *gate.Call, in *api.DeleteChangeSetInput) (*api.DeleteChangeSetOutput, error) {
	return &api.DeleteChangeSetOutput{}, c.Update(func(tx *store.Tx) error {
		st, set, err := s.findChangeSet(tx, c, in.StackName, in.ChangeSetName)
		if awserr.Is(err, "ChangeSetNotFound") && in.StackName != nil {
			return nil // as on AWS
		}
		if err != nil {
			return err
		}
		if set.Execution == "EXECUTE_IN_PROGRESS" {
			return awserr.New("InvalidChangeSetStatus", 400, "ChangeSet [%s] is in execution and cannot be deleted.", st.changeSetID(set))
		}
		_, err = s.t.changes.Delete(tx, st.place().change(set.UUID))
		return err
	})
}

// executeChangeSet begins what a change set says; the stack's other change sets are gone then.
func (s *Service) executeChangeSet(c *gate.Call, in *api.ExecuteChangeSetInput) (*api.ExecuteChangeSetOutput, error) {
	mandate, err := c.Mandate(principal)
	if err != nil {
		return nil, err
	}
	asked, err := askedBy("ExecuteChangeSet", in.ClientRequestToken, in)
	if err != nil {
		return nil, err
	}
	id := s.ids.UUID()
	err = c.Update(func(tx *store.Tx) error {
		st, set, err := s.findChangeSet(tx, c, in.StackName, in.ChangeSetName)
		if err != nil {
			return err
		}
		if again, err := s.begun(tx, st, asked); err != nil || again {
			return err
		}
		setID := st.changeSetID(set)
		if set.Execution != "AVAILABLE" {
			return awserr.New("InvalidChangeSetStatus", 400, "ChangeSet [%s] cannot be executed in its current execution status of [%s]", setID, set.Execution)
		}
		begins := updatable
		if set.Type == "CREATE" {
			begins = []string{"REVIEW_IN_PROGRESS"}
		}
		if !slices.Contains(begins, st.Status) {
			return notUpdatable(st)
		}
		st.Op = &operation{ID: id, Kind: set.Type, Phase: forwards, Mandate: mandate, Token: asked.token, Begun: tx.Now(),
			ChangeSet: setID, DisableRollback: wire.Val(in.DisableRollback), RetainExceptOnCreate: wire.Val(in.RetainExceptOnCreate)}
		if st.Op.Asked, err = s.sealAsking(tx, st.place(), asked); err != nil {
			return err
		}
		if set.Role != "" {
			st.Role = set.Role
		}
		status := "UPDATE_IN_PROGRESS"
		if set.Type == "CREATE" {
			st.version, st.OnFailure, st.DisableRollback, status = set.Version, set.OnFailure, st.Op.DisableRollback, "CREATE_IN_PROGRESS"
		} else {
			next := set.Version
			st.Op.Next, st.Updated = &next, tx.Now()
			if set.OnFailure == "DO_NOTHING" {
				st.Op.DisableRollback = true
			}
		}
		if err := s.dropChangeSets(tx, st, set.UUID); err != nil {
			return err
		}
		set.Execution = "EXECUTE_IN_PROGRESS"
		if err := s.t.changes.Put(tx, st.place().change(set.UUID), *set); err != nil {
			return err
		}
		return s.launch(tx, st, status, set.Version.Imports)
	})
	s.signal()
	return &api.ExecuteChangeSetOutput{}, err
}

// dropChangeSets deletes a stack's change sets but one.
func (s *Service) dropChangeSets(tx *store.Tx, st *stack, but string) error {
	for e, err := range s.t.changes.Scan(tx, st.place().key(), store.Range{}) {
		if err != nil {
			return err
		}
		if e.Value.UUID == but {
			continue
		}
		if _, err := s.t.changes.Delete(tx, e.Key); err != nil {
			return err
		}
	}
	return nil
}

// endChangeSet marks the change set that an operation came from.
func (s *Service) endChangeSet(tx *store.Tx, st *stack) error {
	for e, err := range s.t.changes.Scan(tx, st.place().key(), store.Range{}) {
		if err != nil {
			return err
		}
		set := e.Value
		if set.Execution != "EXECUTE_IN_PROGRESS" {
			continue
		}
		set.Execution = "EXECUTE_FAILED"
		if st.Status == "CREATE_COMPLETE" || st.Status == "UPDATE_COMPLETE" {
			set.Execution = "EXECUTE_COMPLETE"
		}
		if err := s.t.changes.Put(tx, e.Key, set); err != nil {
			return err
		}
	}
	return nil
}
