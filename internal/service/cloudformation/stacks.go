package cloudformation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

func noStack(name string) error { return invalid("Stack with id %s does not exist", name) }

func checkName(name string) error {
	if !stackName.MatchString(name) {
		return invalid("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", name)
	}
	return nil
}

func (s *Service) createStack(c *gate.Call, in *api.CreateStackInput) (*api.CreateStackOutput, error) {
	if err := checkCreate(in); err != nil {
		return nil, err
	}
	asked, err := askedBy("CreateStack", in.ClientRequestToken, in)
	if err != nil {
		return nil, err
	}
	if id, err := s.heardBefore(c, in.StackName, asked); err != nil || id != nil {
		return &api.CreateStackOutput{StackId: id}, err
	}
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	body, err := source(c, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	if body == "" {
		return nil, invalid("Either Template URL or Template Body must be specified.")
	}
	st := &stack{Account: c.Account(), Region: c.Region(), Name: in.StackName, UUID: s.ids.UUID(), Created: c.Now(),
		Role: wire.Val(in.RoleARN), Protected: wire.Val(in.EnableTerminationProtection), DisableRollback: wire.Val(in.DisableRollback),
		OnFailure: wire.Val(in.OnFailure), RetainExceptOnCreate: wire.Val(in.RetainExceptOnCreate),
		Timeout: time.Duration(wire.Val(in.TimeoutInMinutes)) * time.Minute}
	p, err := s.propose(c, st, wish{body: body, parameters: in.Parameters, tags: tags, capabilities: in.Capabilities, types: in.ResourceTypes})
	if err != nil {
		return nil, err
	}
	mandate, err := c.Mandate(principal)
	if err != nil {
		return nil, err
	}
	op := &operation{ID: s.ids.UUID(), Kind: "CREATE", Phase: forwards, Mandate: mandate, Token: asked.token, Begun: c.Now(),
		DisableRollback: st.DisableRollback, RetainExceptOnCreate: st.RetainExceptOnCreate}
	out, err := gate.Commit(c, func(tx *store.Tx) (*api.CreateStackOutput, error) {
		old, taken, err := s.t.named(tx, st.Account, st.Region, st.Name)
		if err != nil {
			return nil, err
		}
		if taken {
			if again, err := s.begun(tx, old, asked); err != nil || again {
				return &api.CreateStackOutput{StackId: new(old.id())}, err
			}
			return nil, awserr.New("AlreadyExistsException", 400, "Stack [%s] already exists", st.Name)
		}
		fresh := *st
		fresh.version, fresh.Op = p.version, op
		if fresh.version.Parameters, err = s.sealParameters(tx, st.place(), p.given); err != nil {
			return nil, err
		}
		if op.Asked, err = s.sealAsking(tx, st.place(), asked); err != nil {
			return nil, err
		}
		return &api.CreateStackOutput{StackId: new(st.id())}, s.launch(tx, &fresh, "CREATE_IN_PROGRESS", fresh.Imports)
	})
	s.signal()
	return out, err
}

func checkCreate(in *api.CreateStackInput) error {
	if err := checkName(in.StackName); err != nil {
		return err
	}
	if in.OnFailure != nil && in.DisableRollback != nil {
		return invalid("You can specify either DisableRollback or OnFailure, but not both.")
	}
	return refusals{notifications: len(in.NotificationARNs) > 0, rollback: in.RollbackConfiguration,
		policies: []*string{in.StackPolicyBody, in.StackPolicyURL}}.check()
}

// launch writes a stack with the operation that begins and puts it in the job's queue. imports are
// the exports of other stacks that it uses from now on.
func (s *Service) launch(tx *store.Tx, st *stack, status string, imports []string) error {
	for _, name := range imports {
		ok, err := s.t.exports.Has(tx, exportKey(st.Account, st.Region, name))
		if err != nil {
			return err
		}
		if !ok { // gone since the template was checked
			return invalid("No export named %s found.", name)
		}
		if err := s.t.imports.Put(tx, importKey(st.Account, st.Region, name, st.UUID), true); err != nil {
			return err
		}
	}
	st.Status, st.Reason = status, "User Initiated"
	if err := s.tell(tx, st, event{Status: status, Reason: "User Initiated"}); err != nil {
		return err
	}
	if err := s.t.put(tx, st); err != nil {
		return err
	}
	return s.enqueue(tx, st.place())
}

// updatable are the states that an update can begin in. ROLLBACK_COMPLETE is not among them: such a
// stack can only be deleted.
var updatable = []string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "CREATE_FAILED"}

func notUpdatable(st *stack) error {
	return invalid("Stack:%s is in %s state and can not be updated.", st.id(), st.Status)
}

func (s *Service) updateStack(c *gate.Call, in *api.UpdateStackInput) (*api.UpdateStackOutput, error) {
	err := refusals{notifications: len(in.NotificationARNs) > 0, rollback: in.RollbackConfiguration,
		policies: []*string{in.StackPolicyBody, in.StackPolicyURL, in.StackPolicyDuringUpdateBody, in.StackPolicyDuringUpdateURL}}.check()
	if err != nil {
		return nil, err
	}
	asked, err := askedBy("UpdateStack", in.ClientRequestToken, in)
	if err != nil {
		return nil, err
	}
	if id, err := s.heardBefore(c, in.StackName, asked); err != nil || id != nil {
		return &api.UpdateStackOutput{StackId: id}, err
	}
	body, err := source(c, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	if (body != "") == wire.Val(in.UsePreviousTemplate) {
		return nil, invalid("Either Template URL or Template Body must be specified.")
	}
	st, w, err := s.updateOf(c, in.StackName, body, in.Parameters, in.Tags)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(updatable, st.Status) {
		return nil, notUpdatable(st)
	}
	w.capabilities, w.types = in.Capabilities, in.ResourceTypes
	p, err := s.propose(c, st, w)
	if err != nil {
		return nil, err
	}
	if changes, err := s.differs(c, st, p); err != nil {
		return nil, err
	} else if !changes {
		return nil, invalid("No updates are to be performed.")
	}
	mandate, err := c.Mandate(principal)
	if err != nil {
		return nil, err
	}
	op := &operation{ID: s.ids.UUID(), Kind: "UPDATE", Phase: forwards, Mandate: mandate, Token: asked.token, Begun: c.Now(),
		DisableRollback: wire.Val(in.DisableRollback), RetainExceptOnCreate: wire.Val(in.RetainExceptOnCreate)}
	out, err := gate.Commit(c, func(tx *store.Tx) (*api.UpdateStackOutput, error) {
		if id, err := s.heard(tx, c, in.StackName, asked); err != nil || id != nil {
			return &api.UpdateStackOutput{StackId: id}, err
		}
		if op.Asked, err = s.sealAsking(tx, st.place(), asked); err != nil {
			return nil, err
		}
		return &api.UpdateStackOutput{StackId: new(st.id())}, s.launchUpdate(tx, st, p, op, wire.Val(in.RoleARN))
	})
	s.signal()
	return out, err
}

// updateOf is the stack of a request to change it and what the request wishes, over what stands.
func (s *Service) updateOf(c *gate.Call, name, body string, params []api.Parameter, tags []api.Tag) (*stack, wish, error) {
	w := wish{body: body, parameters: params}
	var st *stack
	err := c.View(func(tx *store.Tx) error {
		var ok bool
		var err error
		if st, ok, err = s.t.named(tx, c.Account(), c.Region(), name); err != nil {
			return err
		}
		if !ok || st.Status == "DELETE_COMPLETE" {
			return invalid("Stack [%s] does not exist", name)
		}
		w.previous, err = s.openParameters(tx, st.place(), &st.version)
		return err
	})
	if err != nil {
		return nil, w, err
	}
	if w.body == "" {
		w.body = st.Template
	}
	if w.tags, err = tagMap(tags); w.tags == nil {
		w.tags = st.Tags
	}
	return st, w, err
}

// launchUpdate begins an update of a stack that is still as it was when the update was checked.
func (s *Service) launchUpdate(tx *store.Tx, st *stack, p *proposal, op *operation, role string) error {
	now, ok, err := s.t.stacks.Get(tx, st.place().key())
	if err != nil {
		return err
	}
	if !ok || now.busy() || now.Status != st.Status {
		return notUpdatable(&now)
	}
	next := p.version
	if next.Parameters, err = s.sealParameters(tx, st.place(), p.given); err != nil {
		return err
	}
	began := *op
	began.Next, now.Op, now.Updated = &next, &began, tx.Now()
	if role != "" {
		now.Role = role
	}
	return s.launch(tx, &now, "UPDATE_IN_PROGRESS", next.Imports)
}

// differs reports whether a proposal would change anything: a resource, or an output.
func (s *Service) differs(c *gate.Call, st *stack, p *proposal) (bool, error) {
	changes, err := s.plan(c, st, p)
	if err != nil || len(changes) > 0 {
		return true, err
	}
	var rows map[string]*deploy.Row
	err = c.View(func(tx *store.Tx) error { rows, err = s.rows(tx, st.place()); return err })
	if err != nil {
		return false, err
	}
	run := deploy.Run{Rows: rows}
	outputs, err := run.Outputs(p.graph)
	if err != nil {
		return false, wireError(err)
	}
	return !slices.Equal(outputs, st.Outputs), nil
}

func (s *Service) plan(c *gate.Call, st *stack, p *proposal) ([]deploy.Change, error) {
	var rows map[string]*deploy.Row
	err := c.View(func(tx *store.Tx) (err error) { rows, err = s.rows(tx, st.place()); return err })
	if err != nil {
		return nil, err
	}
	changes, err := deploy.Plan(s.types, st.information(p.Tags), rows, p.graph)
	return changes, wireError(err)
}

// deletable are the states that a deletion can begin in: any in which nothing goes on, and a
// creation, which is then broken off.
func deletable(st *stack) bool {
	return !st.busy() || st.Op.Kind == "CREATE" && st.Op.Phase == forwards
}

func (s *Service) deleteStack(c *gate.Call, in *api.DeleteStackInput) (*api.DeleteStackOutput, error) {
	mandate, err := c.Mandate(principal)
	if err != nil {
		return nil, err
	}
	asked, err := askedBy("DeleteStack", in.ClientRequestToken, in)
	if err != nil {
		return nil, err
	}
	op := operation{ID: s.ids.UUID(), Kind: "DELETE", Phase: forwards, Mandate: mandate, Token: asked.token, Begun: c.Now(),
		Retain: in.RetainResources, Force: wire.Val(in.DeletionMode) == "FORCE_DELETE_STACK"}
	err = c.Update(func(tx *store.Tx) error {
		st, ok, err := s.t.named(tx, c.Account(), c.Region(), in.StackName)
		if err != nil {
			return err
		}
		if !ok || st.Status == "DELETE_COMPLETE" {
			return nil // as on AWS: what is gone is deleted
		}
		if again, err := s.begun(tx, st, asked); err != nil || again {
			return err
		}
		switch {
		case st.Protected:
			return invalid("Stack [%s] cannot be deleted while TerminationProtection is enabled", st.Name)
		case len(op.Retain) > 0 && st.Status != "DELETE_FAILED":
			return invalid("Invalid operation on stack [%s]. RetainResources can only be specified when the stack is in DELETE_FAILED state.", st.id())
		case op.Force && st.Status != "DELETE_FAILED":
			return invalid("Invalid operation on stack [%s]. FORCE_DELETE_STACK can only be specified when the stack is in DELETE_FAILED state.", st.id())
		case st.busy() && st.Op.Kind == "DELETE":
			return nil
		case !deletable(st):
			return invalid("Stack [%s] cannot be deleted while in status %s", st.Name, st.Status)
		}
		began := op
		if began.Asked, err = s.sealAsking(tx, st.place(), asked); err != nil {
			return err
		}
		began.Before, st.Op = st.Status, &began
		if in.RoleARN != nil {
			st.Role = *in.RoleARN
		}
		return s.launch(tx, st, "DELETE_IN_PROGRESS", nil)
	})
	s.signal()
	return &api.DeleteStackOutput{}, err
}

func failedList(verb string, failed []string) string {
	return fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", verb, strings.Join(failed, ", "))
}
