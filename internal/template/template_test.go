package template

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

var stack = Inputs{Account: "123456789012", Region: "eu-west-1", StackName: "tasks",
	StackID: "arn:aws:cloudformation:eu-west-1:123456789012:stack/tasks/1"}

func with(params ...string) Inputs {
	in := stack
	in.Parameters = map[string]string{}
	for i := 0; i < len(params); i += 2 {
		in.Parameters[params[i]] = params[i+1]
	}
	return in
}

func bind(t *testing.T, src string, in Inputs) *Graph {
	t.Helper()
	g, err := tryBind(src, in)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return g
}

func tryBind(src string, in Inputs) (*Graph, error) {
	t, err := Parse([]byte(src))
	if err != nil {
		return nil, err
	}
	return t.Bind(in)
}

// created answers as a deployer does whose resources are named after their logical ids.
func created(id string) (string, func(string) (any, bool), bool) {
	return strings.ToLower(id) + "-1", func(attr string) (any, bool) {
		switch attr {
		case "Arn":
			return "arn:aws:test:::" + id, true
		case "List":
			return []any{"x", "y"}, true
		}
		return nil, false
	}, true
}

const app = `AWSTemplateFormatVersion: "2010-09-09"
Description: A table and what reads it
Parameters:
  Stage:
    Type: String
    AllowedValues: [dev, prod]
    Default: dev
  Zones:
    Type: CommaDelimitedList
    Default: "a, b"
Mappings:
  Size:
    dev: {Read: 1}
    prod: {Read: 10}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  NotProd: !Not [!Condition IsProd]
Resources:
  Function:
    Type: AWS::Lambda::Function
    DependsOn: [Logs, Backup]
    Properties:
      Role: !GetAtt Role.Arn
      Timeout: 3
      Environment:
        Variables:
          TABLE: !Ref Table
          BACKUP: !If [IsProd, !Ref Backup, !Ref AWS::NoValue]
          NAME: !Sub "${AWS::StackName}-${Stage}-${Table}"
  Role:
    Type: AWS::IAM::Role
    Properties:
      Path: /
      Policies:
        - PolicyDocument:
            Statement:
              - Effect: Allow
                Action: dynamodb:GetItem
                Resource: [!GetAtt Table.Arn, !Sub "${Table.Arn}/index/*"]
                Condition: {StringEquals: {"aws:x": y}}
  Table:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Metadata: {Owner: !Ref Stage}
    Properties:
      Read: !FindInMap [Size, !Ref Stage, Read]
      Zone: !Select [1, !Ref Zones]
  Backup:
    Type: AWS::S3::Bucket
    Condition: IsProd
  Logs:
    Type: AWS::Logs::LogGroup
Outputs:
  TableArn:
    Description: the table
    Value: !GetAtt Table.Arn
    Export: {Name: !Sub "${AWS::StackName}-table"}
  BackupName:
    Condition: IsProd
    Value: !Ref Backup
`

func ids(rs []*Resource) string {
	var out []string
	for _, r := range rs {
		out = append(out, r.LogicalID)
	}
	return strings.Join(out, " ")
}

func TestATemplateBecomesAGraph(t *testing.T) {
	g := bind(t, app, stack)
	if got := ids(g.Resources); got != "Table Role Logs Function" {
		t.Errorf("order of creation: %s", got)
	}
	f := g.Resource("Function")
	if want := []string{"Role", "Table", "Logs"}; !reflect.DeepEqual(f.DependsOn, want) {
		t.Errorf("the function depends on %v, want %v", f.DependsOn, want)
	}
	if r := g.Resource("Table"); r.DeletionPolicy != "Retain" || !reflect.DeepEqual(r.Metadata, map[string]any{"Owner": "dev"}) {
		t.Errorf("the table's attributes: %q %v", r.DeletionPolicy, r.Metadata)
	}
	props, err := g.Properties("Function", created)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Role": "arn:aws:test:::Role", "Timeout": int64(3), "Environment": map[string]any{
		"Variables": map[string]any{"TABLE": "table-1", "NAME": "tasks-dev-table-1"}}}
	if !reflect.DeepEqual(props, want) {
		t.Errorf("properties %v\nwant %v", props, want)
	}
	out, err := g.Evaluate(created)
	if err != nil || !reflect.DeepEqual(out, []OutputValue{{"TableArn", "the table", "arn:aws:test:::Table", "tasks-table"}}) {
		t.Errorf("outputs %v %v", out, err)
	}
	if p := g.Position("Function", "Properties", "Environment", "Variables", "NAME"); p != (Pos{Line: 29, Column: 11}) {
		t.Errorf("position of a variable: %v", p)
	}
	if p := g.Position("Role", "Properties", "Policies", "0", "PolicyDocument"); p != (Pos{Line: 35, Column: 11}) {
		t.Errorf("position in a list: %v", p)
	}
}

func TestAParameterTurnsAConditionOn(t *testing.T) {
	g := bind(t, app, with("Stage", "prod", "Zones", "x,y,z"))
	if !g.Conditions["IsProd"] || g.Conditions["NotProd"] {
		t.Errorf("conditions: %v", g.Conditions)
	}
	props, err := g.Properties("Table", created)
	if err != nil || !reflect.DeepEqual(props, map[string]any{"Read": int64(10), "Zone": "y"}) {
		t.Errorf("properties %v %v", props, err)
	}
	if got := ids(g.Resources); got != "Table Role Backup Logs Function" {
		t.Errorf("order of creation: %s", got)
	}
	out, err := g.Evaluate(created)
	if err != nil || len(out) != 2 || out[1].Value != "backup-1" {
		t.Errorf("outputs %v %v", out, err)
	}
}

// What is not built is listed whole, each with its place, so that one reading shows all of it.
func TestUnsupportedTypesAreListed(t *testing.T) {
	g := bind(t, app, stack)
	got := g.Unsupported(func(typ string) bool {
		return strings.HasPrefix(typ, "AWS::Lambda") || strings.HasPrefix(typ, "AWS::IAM")
	})
	want := []Missing{{"Table", "AWS::DynamoDB::Table", Pos{Line: 42, Column: 11}}, {"Logs", "AWS::Logs::LogGroup", Pos{Line: 52, Column: 11}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("missing: %v", got)
	}
}

func TestFunctions(t *testing.T) {
	in := with("L", "a,b,c", "N", "5")
	in.Imports = func(n string) (string, bool) { return "value of " + n, n == "net-vpc" }
	in.NotificationARNs = []string{"arn:1"}
	for _, c := range []struct {
		expr string
		want any
	}{
		{`{"Ref": "L"}`, []any{"a", "b", "c"}},
		{`{"Ref": "N"}`, "5"},
		{`{"Ref": "AWS::Partition"}`, "aws"},
		{`{"Ref": "AWS::URLSuffix"}`, "amazonaws.com"},
		{`{"Ref": "AWS::NotificationARNs"}`, []any{"arn:1"}},
		{`[1, {"Ref": "AWS::NoValue"}, 2]`, []any{int64(1), int64(2)}},
		{`{"Fn::Join": ["-", ["a", 1, true, {"Ref": "R"}]]}`, "a-1-true-r-1"},
		{`{"Fn::Join": [",", {"Ref": "L"}]}`, "a,b,c"},
		{`{"Fn::Join": [",", {"Fn::GetAtt": ["R", "List"]}]}`, "x,y"},
		{`{"Fn::Select": ["2", {"Ref": "L"}]}`, "c"},
		{`{"Fn::Select": [0, {"Fn::Split": [":", {"Fn::GetAtt": "R.Arn"}]}]}`, "arn"},
		{`{"Fn::Split": ["|", "a|b"]}`, []any{"a", "b"}},
		{`{"Fn::Sub": "${!Literal} $ ${N} ${R} ${R.Arn} ${AWS::AccountId} ${L}"}`, "${Literal} $ 5 r-1 arn:aws:test:::R 123456789012 a,b,c"},
		{`{"Fn::Sub": ["${N}-${X}-${Y}", {"N": "own", "X": {"Ref": "N"}, "Y": {"Fn::GetAtt": ["R", "Arn"]}}]}`, "own-5-arn:aws:test:::R"},
		{`{"Fn::Sub": ["${Ref}", {"Ref": "N"}]}`, "N"},
		{`{"Fn::Base64": {"Fn::Sub": "id=${R}"}}`, "aWQ9ci0x"},
		{`{"Fn::GetAZs": ""}`, []any{"eu-west-1a", "eu-west-1b", "eu-west-1c"}},
		{`{"Fn::Cidr": ["10.0.0.0/16", 3, 8]}`, []any{"10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"}},
		{`{"Fn::Cidr": ["2001:db8::/56", 2, "64"]}`, []any{"2001:db8::/64", "2001:db8:0:1::/64"}},
		{`{"Fn::ImportValue": {"Fn::Sub": "net-vpc"}}`, "value of net-vpc"},
		{`{"Fn::If": ["Yes", {"Fn::If": ["No", 1, [2]]}, 3]}`, []any{int64(2)}},
		{`{"Fn::FindInMap": ["M", "k", "list"]}`, []any{"p", "q"}},
		{`1.50`, 1.5},
		{`null`, nil},
	} {
		src := `{"Parameters": {"L": {"Type": "CommaDelimitedList"}, "N": {"Type": "Number"}},
 "Mappings": {"M": {"k": {"list": ["p", "q"]}}},
 "Conditions": {"Yes": {"Fn::Or": [{"Condition": "No"}, {"Fn::Equals": [5, {"Ref": "N"}]}]}, "No": {"Fn::And": [{"Condition": "No2"}, {"Fn::Equals": ["a", "a"]}]}, "No2": {"Fn::Equals": ["a", "b"]}},
 "Resources": {"R": {"Type": "AWS::S3::Bucket"}, "X": {"Type": "AWS::S3::Bucket", "Properties": {"P": ` + c.expr + `}}}}`
		g := bind(t, src, in)
		props, err := g.Properties("X", created)
		if err != nil || !reflect.DeepEqual(props["P"], c.want) {
			t.Errorf("%s\n got %#v (%v)\nwant %#v", c.expr, props["P"], err, c.want)
		}
	}
}

// Messages are CloudFormation's, since people search for them; the place is ours.
func TestWhatCloudFormationRefuses(t *testing.T) {
	res := func(body string) string { return "Resources:\n  A:\n    Type: AWS::S3::Bucket\n" + body }
	for _, c := range []struct{ name, src, want string }{
		{"no resources", "Parameters: {}\n", "Template format error: At least one Resources member must be defined. (line 1, column 1)"},
		{"an unknown section", "Resource: {}\n", "Invalid template property or properties [Resource] (line 1, column 1)"},
		{"a name with a dash", "Resources:\n  a-b: {Type: AWS::S3::Bucket}\n", "Template format error: Resource name a-b is non alphanumeric. (line 2, column 3)"},
		{"no type", "Resources:\n  A: {Properties: {}}\n", "Template format error: [/Resources/A] Every Resources object must contain a Type member. (line 2, column 3)"},
		{"a type that is none", "Resources:\n  A: {Type: Bucket}\n  B:\n    Type: AWS::Serverless::Function\n", "Template format error: Unrecognized resource types: [Bucket, AWS::Serverless::Function] (line 2, column 13; line 4, column 11)"},
		{"an unknown attribute", res("    Property: {}\n"), "Invalid template resource property 'Property' (line 4, column 5)"},
		{"Ref to nothing", res("    Properties: {N: !Ref B, M: !Sub '${C}'}\n"), "Template format error: Unresolved resource dependencies [B, C] in the Resources block of the template (line 4, column 21; line 4, column 32)"},
		{"Ref to nothing in a branch not taken", res("    Properties: {N: !If [Never, !Ref B, 1]}\nConditions: {Never: !Equals [1, 2]}\n"), "Unresolved resource dependencies [B]"},
		{"Ref to what a condition leaves out", res("    Properties: {N: !Ref B}\n  B: {Type: AWS::S3::Bucket, Condition: Never}\nConditions: {Never: !Equals [1, 2]}\n"), "Template format error: Unresolved resource dependencies [B] in the Resources block of the template (line 4, column 21)"},
		{"GetAtt of nothing", res("    Properties: {N: !GetAtt B.Arn}\n"), "Template error: instance of Fn::GetAtt references undefined resource B (line 4, column 21)"},
		{"GetAtt without attribute", res("    Properties: {N: !GetAtt A}\n"), "Template error: every Fn::GetAtt object requires two non-empty parameters"},
		{"Sub of an attribute of nothing", res("    Properties: {N: !Sub '${B.Arn}'}\n"), "Template error: instance of Fn::Sub references invalid resource attribute B.Arn"},
		{"Sub with a bad name", res("    Properties: {N: !Sub '${B-C}'}\n"), "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons"},
		{"DependsOn nothing", res("    DependsOn: B\n"), "Template format error: Unresolved resource dependencies [B] in the Resources block"},
		{"an output of nothing", res("Outputs: {O: {Value: !Ref B}}\n"), "Unresolved resource dependencies [B] in the Outputs block of the template"},
		{"an output without value", res("Outputs: {O: {Description: x}}\n"), "Template format error: Every Outputs member must contain a Value object."},
		{"a cycle", res("    Properties: {N: !Ref B}\n  B: {Type: AWS::S3::Bucket, DependsOn: C}\n  C: {Type: AWS::S3::Bucket, Properties: {N: !Sub '${A}'}}\n  D: {Type: AWS::S3::Bucket, DependsOn: A}\n"),
			"Circular dependency between resources: [A, B, C] (line 2, column 3; line 5, column 3; line 6, column 3)"},
		{"a resource that needs itself", res("    Properties: {N: !Ref A}\n"), "Circular dependency between resources: [A]"},
		{"an unknown condition", res("    Condition: C\n"), "Template format error: Condition C is not defined. (line 4, column 16)"},
		{"If over nothing", res("    Properties: {N: !If [C, 1, 2]}\n"), "Template error: unresolved condition dependency C in Fn::If (line 4, column 26)"},
		{"conditions in a circle", res("Conditions: {C: !Not [!Condition D], D: !Not [!Condition C]}\n"), "circular condition dependency"},
		{"a condition over a resource", res("Conditions: {C: !Equals [!Ref A, b]}\n"), "Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the template"},
		{"a mapping that is not there", res("    Properties: {N: !FindInMap [M, a, c]}\nMappings: {M: {a: {b: 1}}}\n"), "Template error: Unable to get mapping for M::a::c (line 4, column 21)"},
		{"an import that is not there", res("    Properties: {N: !ImportValue x}\n"), "No export named x found."},
		{"Select beyond the end", res("    Properties: {N: !Select [2, [a, b]]}\n"), "Template error: Fn::Select cannot select nonexistent value at index 2"},
		{"an unknown function", res("    Properties: {N: !Upper a}\n"), "Template error: Encountered unsupported function: Fn::Upper Supported functions are: ["},
		{"a deletion policy", res("    DeletionPolicy: Keep\n"), "Template format error: Unrecognized DeletionPolicy Keep for resource A (line 4, column 21)"},
		{"a parameter without type", res("Parameters: {P: {Default: x}}\n"), "Template format error: Every Parameters object must contain a Type attribute."},
		{"parameters without values", res("Parameters: {P: {Type: String}, Q: {Type: String}}\n"), "Parameters: [P, Q] must have values (line 4, column 14; line 4, column 33)"},
		{"a value that is not allowed", res("Parameters: {P: {Type: String, Default: x, AllowedValues: [y]}}\n"), "Parameter 'P' must be one of AllowedValues"},
		{"a value against the pattern", res("Parameters: {P: {Type: String, Default: x, AllowedPattern: '[0-9]+', ConstraintDescription: digits only}}\n"), "Parameter P failed to satisfy constraint: digits only"},
		{"a number that is none", res("Parameters: {P: {Type: Number, Default: x}}\n"), "Parameter 'P' must be a number."},
		{"a number too small", res("Parameters: {P: {Type: 'List<Number>', Default: '3,1', MinValue: 2}}\n"), "Parameter 'P' must be a number not less than 2"},
		{"text too long", res("Parameters: {P: {Type: String, Default: abc, MaxLength: 2}}\n"), "Parameter 'P' must contain at most 2 characters"},
		{"a rule", res("Rules: {R: {Assertions: [{Assert: !Contains [[a, b], !Ref AWS::Region], AssertDescription: wrong region}]}}\n"), "Rule R failed with error: wrong region"},
	} {
		_, err := tryBind(c.src, stack)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
			continue
		}
		if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Code != "ValidationError" {
			t.Errorf("%s: a client would see %v", c.name, e)
		}
	}
	if _, err := tryBind(app, with("Stag", "x")); err == nil || !strings.Contains(err.Error(), "Parameters: [Stag] do not exist in the template") {
		t.Errorf("a parameter too many: %v", err)
	}
}

// A thing of CloudFormation's that is not built is named, with its place, and never passed over.
func TestWhatIsNotBuiltSaysSo(t *testing.T) {
	res := "Resources:\n  A:\n    Type: AWS::S3::Bucket\n"
	for _, c := range []struct{ src, want string }{
		{"Transform: My::Macro\n" + res, "The transform My::Macro is not built; built are AWS::Serverless-2016-10-31 and AWS::LanguageExtensions. (line 1, column 12)"},
		{"Transform:\n  Name: AWS::Include\n  Parameters: {Location: s3://a/b}\n" + res, "The transform AWS::Include is not built"},
		{res + "    Properties: {N: {Fn::Transform: {Name: AWS::Include}}}\n", "Fn::Transform with the macro AWS::Include is not built. (line 4, column 21)"},
		{res + "Parameters: {P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a}}\n", "reading parameters from Systems Manager is not built. (line 4, column 24)"},
	} {
		_, err := tryBind(c.src, stack)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v\nwant %s", err, c.want)
			continue
		}
		if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Kind != awserr.NotImplemented {
			t.Errorf("a client would see %v", e)
		}
	}
}

func TestLanguageExtensions(t *testing.T) {
	g := bind(t, `Transform: AWS::LanguageExtensions
Parameters:
  Names: {Type: CommaDelimitedList, Default: "Red,Blue-1"}
Mappings: {M: {a: {b: 1}}}
Resources:
  Fn::ForEach::Topics:
    - Name
    - !Ref Names
    - "Topic&{Name}":
        Type: AWS::SNS::Topic
        DeletionPolicy: !If [Keep, Retain, Delete]
        Properties: {TopicName: !Sub "${AWS::StackName}-${Name}", Own: !Ref Name}
  X:
    Type: AWS::S3::Bucket
    Properties:
      Count: !Length [a, b, c]
      Text: {Fn::ToJsonString: {A: [1, !Ref TopicRed]}}
      Default: !FindInMap [M, x, y, {DefaultValue: none}]
Conditions: {Keep: !Equals [1, 1]}
Outputs:
  Fn::ForEach::Outs:
    - Name
    - [Red]
    - "Out${Name}": {Value: !Ref "Topic${Name}"}
`, stack)
	if got := ids(g.Resources); got != "TopicRed TopicBlue1 X" {
		t.Errorf("resources: %s", got)
	}
	if r := g.Resource("TopicRed"); r.DeletionPolicy != "Retain" {
		t.Errorf("deletion policy %q", r.DeletionPolicy)
	}
	topic, err := g.Properties("TopicBlue1", created)
	if err != nil || !reflect.DeepEqual(topic, map[string]any{"TopicName": "tasks-Blue-1", "Own": "Blue-1"}) {
		t.Errorf("topic %v %v", topic, err)
	}
	x, err := g.Properties("X", created)
	if err != nil || !reflect.DeepEqual(x, map[string]any{"Count": int64(3), "Text": `{"A":[1,"topicred-1"]}`, "Default": "none"}) {
		t.Errorf("x %v %v", x, err)
	}
	if len(g.Outputs) != 1 || g.Outputs[0].Name != "OutRed" {
		t.Errorf("outputs %v", g.Outputs)
	}
}

// loops that are none, or stand where nothing expands them.
var loops = []struct{ src, want string }{
	{`{"Resources": {"Fn::ForEach::X": ["N", ["a"], {"L${N}": {"Type": "AWS::S3::Bucket"}}]}}`,
		"Template format error: Resource name Fn::ForEach::X is non alphanumeric. (Fn::ForEach needs the transform AWS::LanguageExtensions.) (line 1, column 16)"},
	{`{"Resources": {"Fn::ForEach::X": {}, "A": {"Type": "AWS::S3::Bucket"}}}`, "Resource name Fn::ForEach::X is non alphanumeric."},
	{`{"Resources": {"Fn::ForEach::X": null}}`, "Resource name Fn::ForEach::X is non alphanumeric."},
	{`{"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Fn::ForEach::X": ["N", ["a"], {"L${N}": {"Type": "AWS::S3::Bucket"}}]}}`,
		"Resource name Fn::ForEach::X is non alphanumeric."},
	{`{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::X": {}}}`, "Fn::ForEach::X could not be resolved"},
	{`{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::X": ["N", ["a"], {"x${N}": "text"}]}}`, "[/Resources/xa] resource definition is malformed"},
	{`{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::X": ["N", ["a"], {"x${N}": {"Properties": {}}}]}}`,
		"[/Resources/xa] Every Resources object must contain a Type member."},
	{`{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::X": ["N", ["Fn::ForEach::Y"], {"${N}": {"Type": "AWS::S3::Bucket"}}]}}`,
		"Fn::ForEach::Y could not be resolved"},
	{`{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::X": ["N", [], {"x${N}": {"Type": "AWS::S3::Bucket"}}]}}`,
		"At least one Resources member must be defined."},
	{`{"Conditions": {"Fn::ForEach::X": ["N", ["a"], {"L${N}": {"Fn::Equals": ["a", "b"]}}]}, "Resources": {"A": {"Type": "AWS::S3::Bucket"}}}`,
		"Conditions name Fn::ForEach::X is non alphanumeric."},
	{`{"Outputs": {"Fn::ForEach::X": ["N", ["a"], {"L${N}": {"Value": "a"}}]}, "Resources": {"A": {"Type": "AWS::S3::Bucket"}}}`, "Output name Fn::ForEach::X is non alphanumeric."},
	{`{"Resources": {"A": {"Type": "AWS::S3::Bucket", "Properties": {"Fn::ForEach::X": ["N", ["a"], {"L${N}": "a"}]}}}}`, "unsupported function: Fn::ForEach::X"},
}

func TestALoopThatNothingExpandsIsRefused(t *testing.T) {
	for _, c := range loops {
		_, err := tryBind(c.src, stack)
		if e, ok := errors.AsType[*tree.Error](err); !ok || e.Unbuilt || len(e.At) == 0 || !strings.Contains(e.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.src, err, c.want)
		}
	}
}

func TestSecretsAreMarked(t *testing.T) {
	p, err := Parse([]byte("Parameters: {S: {Type: String, NoEcho: true}, T: {Type: String, Default: ''}}\nResources: {A: {Type: AWS::S3::Bucket}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	params, err := p.Parameters()
	if err != nil || len(params) != 2 || !params[0].NoEcho || params[0].HasDefault || params[1].NoEcho || !params[1].HasDefault {
		t.Errorf("%+v %v", params, err)
	}
}

// Whatever bytes come, a template is refused with an error of ours or gives a graph whose order
// respects its dependencies.
func FuzzBind(f *testing.F) {
	f.Add([]byte(app))
	f.Add([]byte(`{"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::A": ["x", ["1", "2"], {"R${x}": {"Type": "AWS::S3::Bucket"}}]}}`))
	f.Add([]byte("Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.12\n      Handler: a.b\n      InlineCode: x\n      Events: {E: {Type: HttpApi}, A: {Type: Api, Properties: {Path: /a, Method: get}}}\n"))
	f.Add([]byte(`{"Resources": {"A": {"Type": "AWS::S3::Bucket", "Properties": {"a": {"Fn::Cidr": ["10.0.0.0/8", 2]}}}}, "Rules": {"R": {"Assertions": [{"Assert": {"Fn::Contains": [["a"], "a"]}}]}}}`))
	for _, loop := range loops {
		f.Add([]byte(loop.src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if parsed, err := Parse(src); err == nil {
			if err := parsed.CheckReferences(); err != nil {
				if _, ok := errors.AsType[*awserr.Error](err); !ok {
					t.Fatalf("an error that no client could read: %T %v", err, err)
				}
			}
		}
		g, err := tryBind(string(src), stack)
		if err != nil {
			if _, ok := errors.AsType[*awserr.Error](err); !ok {
				t.Fatalf("an error that no client could read: %T %v", err, err)
			}
			return
		}
		seen := map[string]bool{}
		for _, r := range g.Resources {
			for _, d := range r.DependsOn {
				if !seen[d] {
					t.Fatalf("%s comes before %s, which it needs", r.LogicalID, d)
				}
			}
			seen[r.LogicalID] = true
			if _, err := g.Properties(r.LogicalID, created); err != nil {
				if _, ok := errors.AsType[*tree.Error](err); !ok {
					t.Fatalf("%T %v", err, err)
				}
			}
		}
	})
}

func BenchmarkBind(b *testing.B) {
	t, err := Parse([]byte(app))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := t.Bind(stack); err != nil {
			b.Fatal(err)
		}
	}
}
