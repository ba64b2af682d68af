package cloudformation

import (
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
)

// TestTokensOfStacks: a request that comes again with its token is answered as the first was and
// begins nothing; the token with another request is refused, whatever that asks for.
func TestTokensOfStacks(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ctx := t.Context()
	create := func(token string, given ...string) (*api.CreateStackOutput, error) {
		return c.CreateStack(ctx, &api.CreateStackInput{StackName: "app", TemplateBody: new(pair), Parameters: parameters(given), ClientRequestToken: &token})
	}
	update := func(token string, given ...string) (*api.UpdateStackOutput, error) {
		return c.UpdateStack(ctx, &api.UpdateStackInput{StackName: "app", UsePreviousTemplate: new(true), Parameters: parameters(given), ClientRequestToken: &token})
	}
	remove := func(token string) error {
		_, err := c.DeleteStack(ctx, &api.DeleteStackInput{StackName: "app", ClientRequestToken: &token})
		return err
	}
	const taken = "TokenAlreadyExistsException"
	one, err := create("one", "Value=a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = create("one", "Value=b")
	r.refused(err, taken, "one already exists")
	_, err = create("two", "Value=a")
	r.refused(err, "AlreadyExistsException", "Stack [app] already exists")
	r.work(ctx)
	if again, err := create("one", "Value=a"); err != nil || *again.StackId != *one.StackId {
		t.Errorf("the creation again, when it is over: %+v %v", again, err)
	}
	_, err = update("one", "Value=b")
	r.refused(err, taken, "one already exists")
	r.refused(remove("one"), taken, "one already exists")

	if _, err = update("two", "Value=b"); err != nil {
		t.Fatal(err)
	}
	if again, err := update("two", "Value=b"); err != nil || *again.StackId != *one.StackId {
		t.Errorf("the update again, while it goes on: %+v %v", again, err)
	}
	_, err = update("two", "Value=c")
	r.refused(err, taken, "two already exists")
	r.work(ctx)
	if _, err := update("two", "Value=b"); err != nil {
		t.Errorf("the update again, when it is over: %v", err)
	}
	_, err = update("three", "Value=b")
	r.refused(err, "ValidationError", "No updates are to be performed.")

	for range 2 {
		if err := remove("gone"); err != nil {
			t.Error(err)
		}
	}
	r.work(ctx)
	_, err = c.DescribeStacks(ctx, &api.DescribeStacksInput{StackName: new("app")})
	r.refused(err, "ValidationError", "does not exist")
}

// TestTokensOfChangeSets: the same for making and for executing them.
func TestTokensOfChangeSets(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ctx := t.Context()
	in := api.CreateChangeSetInput{StackName: "app", ChangeSetName: "first", ChangeSetType: new("CREATE"), TemplateBody: new(pair), ClientToken: new("make")}
	one, err := c.CreateChangeSet(ctx, &in)
	if err != nil {
		t.Fatal(err)
	}
	again := func() {
		t.Helper()
		if two, err := c.CreateChangeSet(ctx, &in); err != nil || *two.Id != *one.Id || *two.StackId != *one.StackId {
			t.Errorf("the same again: %+v %v", two, err)
		}
	}
	again()
	other := in
	other.ChangeSetName = "second"
	_, err = c.CreateChangeSet(ctx, &other)
	r.refused(err, "TokenAlreadyExistsException", "make already exists")
	other = in
	other.ClientToken = nil
	_, err = c.CreateChangeSet(ctx, &other)
	r.refused(err, "AlreadyExistsException", "ChangeSet first already exists")

	execute := func(token string) error {
		_, err := c.ExecuteChangeSet(ctx, &api.ExecuteChangeSetInput{StackName: new("app"), ChangeSetName: "first", ClientRequestToken: &token})
		return err
	}
	for range 2 {
		if err := execute("run"); err != nil {
			t.Error(err)
		}
	}
	r.refused(execute("walk"), "InvalidChangeSetStatus", "EXECUTE_IN_PROGRESS")
	again()
	r.work(ctx)
	if err := execute("run"); err != nil {
		t.Errorf("the execution again, when it is over: %v", err)
	}
	_, err = c.UpdateStack(ctx, &api.UpdateStackInput{StackName: "app", TemplateBody: new(pair), ClientRequestToken: new("run")})
	r.refused(err, "TokenAlreadyExistsException", "run already exists")
	again()
}
