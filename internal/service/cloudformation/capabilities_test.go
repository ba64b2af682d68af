package cloudformation

import (
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
)

const choices = `
Parameters: {P: {Type: String, Default: ""}, N: {Type: String, Default: given}}
Conditions: {Holds: !Equals [a, a], Fails: !Equals [a, b], Given: !Not [!Equals [!Ref P, ""]]}
Resources:
  T: {Type: Test::Door::Thing}
  A: `

// What must be acknowledged is decided on what would be made, however its name is written; and it is
// decided anew for every way to change a stack.
func TestPowersAreAcknowledged(t *testing.T) {
	r := newRig(t)
	r.make("app", pair)
	const plain, named = "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"
	for _, c := range []struct{ resource, needs string }{
		{"{Type: AWS::IAM::Role}", plain},
		{"{Type: AWS::IAM::Policy, Properties: {PolicyName: x}}", plain},
		{"{Type: AWS::IAM::AccessKey, Properties: {UserName: x}}", plain},
		{"{Type: AWS::IAM::UserToGroupAddition, Properties: {GroupName: x}}", plain},
		{"{Type: AWS::IAM::Role, Properties: {RoleName: x}}", named},
		{"{Type: AWS::IAM::User, Properties: {UserName: !Ref N}}", named},
		{"{Type: AWS::IAM::Group, Properties: {GroupName: !Sub 'x-${N}'}}", named},
		{"{Type: AWS::IAM::ManagedPolicy, Properties: {ManagedPolicyName: !Ref T}}", named},
		{"{Type: AWS::IAM::InstanceProfile, Properties: {InstanceProfileName: !GetAtt T.Value}}", named},
		{"{Type: AWS::IAM::Role, Properties: {RoleName: !If [Holds, x, !Ref AWS::NoValue]}}", named},
		{"{Type: AWS::IAM::Role, Properties: {RoleName: !If [Fails, x, !Ref AWS::NoValue]}}", plain},
		{"{Type: AWS::IAM::Role, Properties: !If [Holds, {RoleName: x}, !Ref AWS::NoValue]}", named},
		{"{Type: AWS::IAM::Role, Properties: !If [Fails, {RoleName: x}, !Ref AWS::NoValue]}", plain},
		{"{Type: AWS::IAM::Role, Properties: !If [Fails, {}, !If [Holds, {RoleName: !Ref T}, {}]]}", named},
		{"{Type: AWS::IAM::Role, Properties: !Select [0, [{RoleName: x}]]}", named},
		{"{Type: AWS::IAM::Role, Condition: Holds, Properties: {RoleName: !If [Given, !Ref P, !Ref AWS::NoValue]}}", plain},
	} {
		body := choices + c.resource
		for _, given := range []string{"", plain, named} {
			want, code := "Requires capabilities : ["+c.needs+"]", "InsufficientCapabilitiesException"
			if given == named || given == c.needs {
				want, code = " is not built", "NotImplemented"
			}
			var caps []string
			if given != "" {
				caps = []string{given}
			}
			_, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "new", TemplateBody: &body, Capabilities: caps})
			r.refused(err, code, want)
			_, err = r.client().UpdateStack(t.Context(), &api.UpdateStackInput{StackName: "app", TemplateBody: &body, Capabilities: caps})
			r.refused(err, code, want)
			_, err = r.client().CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "app", ChangeSetName: "c", TemplateBody: &body, Capabilities: caps})
			r.refused(err, code, want)
		}
	}
	// A parameter that changes can bring a name.
	body := choices + "{Type: AWS::IAM::Role, Properties: {RoleName: !If [Given, !Ref P, !Ref AWS::NoValue]}}"
	_, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "new", TemplateBody: &body, Capabilities: []string{plain}, Parameters: parameters([]string{"P=x"})})
	r.refused(err, "InsufficientCapabilitiesException", named)
	// Properties whose names are known only once another resource is made could hide anything.
	body = choices + "{Type: AWS::IAM::Role, Properties: !Select [0, [{RoleName: x, Path: !Ref T}]]}"
	_, err = r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "new", TemplateBody: &body, Capabilities: []string{plain}})
	r.refused(err, "ValidationError", "[/Resources/A/Properties] Properties must be a map. (line 6, column 41)")
}

func TestPowersThatTransformsMake(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ body, given, needs string }{
		{"Transform: AWS::Serverless-2016-10-31\nResources: {F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: i.h, Runtime: python3.12}}}",
			"CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM"},
		{"Transform: AWS::Serverless-2016-10-31\nResources: {F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: i.h, Runtime: python3.12}}}",
			"", "CAPABILITY_IAM, CAPABILITY_AUTO_EXPAND"},
		{"Transform: AWS::LanguageExtensions\nResources: {'Fn::ForEach::R': [N, [a], {'L${N}': {Type: AWS::IAM::Role, Properties: {RoleName: '${N}'}}}]}",
			"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM, CAPABILITY_AUTO_EXPAND"},
	} {
		var caps []string
		if c.given != "" {
			caps = []string{c.given}
		}
		_, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "new", TemplateBody: &c.body, Capabilities: caps})
		r.refused(err, "InsufficientCapabilitiesException", "Requires capabilities : ["+c.needs+"]")
	}
}

// ValidateTemplate knows no parameters, and names all that could be needed.
func TestPowersThatATemplateMayHave(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ body, want string }{
		{choices + "{Type: AWS::IAM::Role}", "CAPABILITY_IAM"},
		{choices + "{Type: AWS::IAM::Role, Properties: {RoleName: !Ref AWS::NoValue}}", "CAPABILITY_IAM"},
		{choices + "{Type: AWS::IAM::Role, Properties: !If [Fails, {RoleName: x}, {Path: /}]}", "CAPABILITY_NAMED_IAM"},
		{"Transform: AWS::LanguageExtensions\nResources: {'Fn::ForEach::R': [N, [a], {'L${N}': {Type: AWS::IAM::Role, Properties: {RoleName: '${N}'}}}]}",
			"CAPABILITY_NAMED_IAM,CAPABILITY_AUTO_EXPAND"},
	} {
		v, err := r.client().ValidateTemplate(t.Context(), &api.ValidateTemplateInput{TemplateBody: &c.body})
		if err != nil || strings.Join(v.Capabilities, ",") != c.want {
			t.Errorf("%s: %+v %v, want %s", c.body, v, err, c.want)
		}
	}
}
