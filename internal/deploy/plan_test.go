package deploy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

func summary(changes []Change) string {
	var out []string
	for _, c := range changes {
		s := c.Action + " " + c.LogicalID
		if c.Replacement != "" {
			s += " " + c.Replacement
		}
		for _, d := range c.Details {
			s += fmt.Sprintf(" %s.%s:%s", d.Attribute, d.Name, d.Recreate)
			if d.Dynamic {
				s += "<" + d.Cause
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

func TestAPlanSaysWhatAnUpdateDoes(t *testing.T) {
	w := newWorld(t)
	stack := Stack{ID: "arn:stack/s/1", Name: "s", Account: "123456789012", Region: "eu-west-1"}
	plan := func(body string, s Stack) string {
		changes, err := Plan(w.types(t), s, w.run("x").Rows, bound(t, body))
		if err != nil {
			t.Fatal(err)
		}
		return summary(changes)
	}
	if got := plan(first, stack); got != "Add A\nAdd B\nAdd C\nAdd Gone" {
		t.Errorf("before anything is there:\n%s", got)
	}
	stand(first)(w)
	if got := plan(first, stack); got != "" {
		t.Errorf("for what stands:\n%s", got)
	}
	if got := plan(strings.ReplaceAll(first, "Value: old", `Value: "old"`), stack); got != "" {
		t.Errorf("for another notation:\n%s", got)
	}
	want := "Modify A True Properties.Kind:Always Properties.Value:Never\n" +
		"Modify B False Properties.Uses:Never<A Properties.Value:Never\n" +
		"Modify C False Properties.Uses:Never<A Properties.Value:Never<A\nAdd New\nRemove Gone"
	if got := plan(second, stack); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	stack.Tags = map[string]string{"team": "a"}
	if got := plan(first, stack); !strings.HasPrefix(got, "Modify A False Tags.:Never\nModify B") {
		t.Errorf("for other tags:\n%s", got)
	}
}

func TestCheckNamesEveryFaultWithItsPlace(t *testing.T) {
	w := newWorld(t)
	g := bound(t, `
Resources:
  Queue:
    Type: AWS::SQS::Queue
  A:
    Type: Test::World::Thing
    DeletionPolicy: Snapshot
    Metadata: {Bastide: {Acknowledge: [nonsense], Egress: ["x:1"], Other: [y]}}
    Properties:
      Value: "{{resolve:ssm:name:1}}"
      Nested: {Inner: 1, Outer: 2}
      Open: {Anything: {goes: here}}
      Unheard: !GetAtt B.Arn
  B:
    Type: Test::World::Thing
    UpdatePolicy: {}
    Properties: {Tags: [{Key: a, Value: b, Propagate: true}], Nested: {Inner: deep}, Uses: [water, wind]}
`)
	err := w.types(t).Check(g)
	e, ok := err.(*tree.Error)
	if !ok || !e.Unbuilt {
		t.Fatalf("%T %v", err, err)
	}
	for _, want := range []string{
		"line 4, column 11: Queue: the type AWS::SQS::Queue is not built",
		"A: the policy Snapshot is not built",
		`the metadata Bastide.Acknowledge: "nonsense" is not understood`,
		"the metadata Bastide.Egress belongs to a function",
		`the metadata Bastide.Other: "y" is not understood`,
		"line 10, column 14: the dynamic reference {{resolve:ssm:name:1}} is not built",
		"line 11, column 26: A: the property Nested.Outer of Test::World::Thing is not built",
		"line 13, column 7: A: the property Unheard of Test::World::Thing is not built",
		"B: UpdatePolicy is not built",
		"line 17, column 44: B: the property Tags.Propagate of Test::World::Thing is not built",
		"line 17, column 79: B: Inner deep needs a sea, which is not built",
		"line 17, column 92: B: rain is not built",
		"line 17, column 100: B: wind is not built",
	} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in\n%s", want, e.Message)
		}
	}
	if n := strings.Count(e.Message, "\n"); n != 13 {
		t.Errorf("%d faults:\n%s", n, e.Message)
	}
	if err := w.types(t).Check(bound(t, first)); err != nil {
		t.Errorf("a good template: %v", err)
	}
}

func TestNames(t *testing.T) {
	s := Stack{ID: "arn:1", Name: "shop"}
	long := Stack{ID: "arn:1", Name: strings.Repeat("very-long-", 12)}
	var k kind
	name := s.name(k, "Table", "op1")
	if !strings.HasPrefix(name, "shop-Table-") || len(name) != len("shop-Table-")+12 {
		t.Errorf("%q", name)
	}
	if again := s.name(k, "Table", "op1"); again != name {
		t.Errorf("a retry would make %q", again)
	}
	for _, other := range []string{s.name(k, "Table", "op2"), s.name(k, "Table2", "op1"), Stack{ID: "arn:2", Name: "shop"}.name(k, "Table", "op1")} {
		if other == name {
			t.Errorf("%q twice", name)
		}
	}
	if got := long.name(k, strings.Repeat("Logical", 30), "op"); len(got) > 64 || len(got) < 60 || strings.Contains(got, "--") {
		t.Errorf("%q of %d", got, len(got))
	}
	lower := kind{Resource: gate.Resource{NameLower: true, NameLimit: 63}}
	if got := long.name(lower, "Bucket", "op"); len(got) != 63 || got != strings.ToLower(got) || !strings.Contains(got, "-bucket-") {
		t.Errorf("%q of %d", got, len(got))
	}
}

func TestSameComparesWhatTemplatesMean(t *testing.T) {
	for _, c := range []struct {
		a, b any
		same bool
	}{
		{"5", int64(5), true}, {true, "true", true}, {1.5, "1.5", true}, {float64(100000000), int64(100000000), true},
		{nil, nil, true}, {nil, "", false}, {"a", "b", false}, {map[string]any{"a": nil}, map[string]any{}, true},
		{map[string]any{"a": int64(1)}, map[string]any{"a": "1"}, true}, {map[string]any{"a": int64(1)}, map[string]any{"b": int64(1)}, false},
		{[]any{"a", "b"}, []any{"b", "a"}, false}, {[]any{"a"}, "a", false}, {"a", map[string]any{}, false},
	} {
		if same(c.a, c.b) != c.same || same(c.b, c.a) != c.same {
			t.Errorf("same(%v, %v) is not %v", c.a, c.b, c.same)
		}
	}
	k := kind{Resource: gate.Resource{Replace: []string{"Name", "Keys.Part"}, Update: (&world{}).update}}
	before := map[string]any{"Name": "a", "Keys": []any{map[string]any{"Part": "x", "Free": "1"}}}
	after := map[string]any{"Name": "a", "Keys": []any{map[string]any{"Part": "x", "Free": "2"}}}
	if got := k.replaces(before, after); len(got) > 0 {
		t.Errorf("a free part replaces: %v", got)
	}
	after["Keys"] = []any{map[string]any{"Part": "y"}}
	if got := k.replaces(before, after); len(got) != 1 || got[0] != "Keys" {
		t.Errorf("a key part: %v", got)
	}
}

func TestTagsOfTheStackReachItsResources(t *testing.T) {
	w := newWorld(t)
	stack := Stack{ID: "arn:stack/s/1", Name: "s", Tags: map[string]string{"team": "a", "own": "stack"}}
	k := w.types(t).byName["Test::World::Thing"]
	props := map[string]any{"Tags": []any{map[string]any{"Key": "own", "Value": "mine"}}}
	got := fmt.Sprint(stack.tagged(k, "A", nil, props)["Tags"])
	if got != "[map[Key:own Value:mine] map[Key:aws:cloudformation:logical-id Value:A] map[Key:aws:cloudformation:stack-id Value:arn:stack/s/1] map[Key:aws:cloudformation:stack-name Value:s] map[Key:team Value:a]]" {
		t.Errorf("%s", got)
	}
	k.tags = tagMap
	k.Type = functionType
	egress := map[string]any{"Bastide": map[string]any{"Egress": []any{"a.example:443", "b.example:80"}}}
	got = fmt.Sprint(stack.tagged(k, "A", egress, map[string]any{"Tags": map[string]any{"own": "mine"}})["Tags"])
	if got != "map[aws:cloudformation:logical-id:A aws:cloudformation:stack-id:arn:stack/s/1 aws:cloudformation:stack-name:s bastide:egress:a.example:443 b.example:80 own:mine team:a]" {
		t.Errorf("%s", got)
	}
}

// An attribute that a type does not have is refused before anything is made, wherever it is asked for.
func TestCheckKnowsTheAttributes(t *testing.T) {
	types := newWorld(t).types(t)
	head := "Parameters: {P: {Type: String, Default: Arn}}\nConditions: {Never: !Equals [a, b]}\nResources:\n  A: {Type: Test::World::Thing}\n  U: {Type: Test::World::Unknown, Condition: Never}\n"
	for _, c := range []struct{ src, want string }{
		{"Outputs: {O: {Value: !GetAtt A.Arn}, P: {Value: !Sub '${A.Value}${A}'}, Q: {Value: {'Fn::GetAtt': [A, !Ref P]}}}\n", ""},
		{"Outputs: {O: {Value: {'Fn::GetAtt': [A, Nope]}}}\n", "Template error: resource A does not support attribute type Nope in Fn::GetAtt (line 6, column 22)"},
		{"Outputs: {O: {Value: !GetAtt A.Arn.More}}\n", "Template error: resource A does not support attribute type Arn.More in Fn::GetAtt"},
		{"Outputs: {O: {Value: {'Fn::GetAtt': [A, !Sub '${P}s']}}}\n", "Template error: resource A does not support attribute type Arns in Fn::GetAtt"},
		{"Outputs: {O: {Value: {'Fn::GetAtt': [A, !Ref A]}}}\n", "the attribute that Fn::GetAtt asks the resource A for cannot depend on a resource (line 6"},
		{"Outputs: {O: {Condition: Never, Value: !Sub 'x-${A.Nope}'}}\n", "Template error: instance of Fn::Sub references invalid resource attribute A.Nope (line 6"},
		{"Outputs: {O: {Value: x, Export: {Name: !GetAtt A.Nope}}}\n", "resource A does not support attribute type Nope"},
		{"  B: {Type: Test::World::Thing, Properties: {Value: !If [Never, !GetAtt A.Nope, x]}}\n", "resource A does not support attribute type Nope in Fn::GetAtt (line 6"},
		{"  B: {Type: Test::World::Thing, Condition: Never, Properties: {Value: !Join ['', [!GetAtt A.Nope]]}}\n", "resource A does not support attribute type Nope"},
		{"  B: {Type: Test::World::Thing, Metadata: {X: !GetAtt A.Nope}}\n", "resource A does not support attribute type Nope"},
		{"  B: {Type: Test::World::Thing, Condition: Never, Properties: {Value: !GetAtt U.Any}}\n", ""}, // what that has is not known
	} {
		err := types.Check(bound(t, head+c.src))
		if e, ok := errors.AsType[*tree.Error](err); c.want == "" && err != nil || c.want != "" && (!ok || e.Unbuilt || !strings.Contains(e.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", c.src, err, c.want)
		}
	}
}
