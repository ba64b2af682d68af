package template

import (
	"errors"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// What a template says in a form that nothing reads is refused where it stands, and by Parse, so that
// ValidateTemplate says it too.
func TestNothingIsDroppedSilently(t *testing.T) {
	res := func(more string) string { return "Resources:\n  A:\n    Type: AWS::S3::Bucket\n" + more }
	for _, c := range []struct{ src, want string }{
		{res("Globals: {Function: {Timeout: 3}}\n"), "Invalid template property or properties [Globals] (line 4, column 1)"},
		{res("Globals:\n"), "Invalid template property or properties [Globals]"},
		{res("Metadata: [a]\n"), "Template format error: Metadata member must be a map. (line 4, column 11)"},
		{res("Metadata: text\n"), "Template format error: Metadata member must be a map."},
		{res("Mappings: [a]\n"), "Template format error: Mappings member must be a map."},
		{res("Mappings: {M: x}\n"), "Template format error: Every Mappings member M must be a map (line 4, column 15)"},
		{res("Mappings: {M: {a: x}}\n"), "Template format error: Every Mappings member a must be a map"},
		{res("Mappings: {M: {a: {b: {c: d}}}}\n"), "Template format error: Every Mappings attribute must be a String or a List. (line 4, column 23)"},
		{res("Mappings: {M: {a: {b: }}}\n"), "Template format error: Every Mappings attribute must be a String or a List."},
		{res("Mappings: {M: {a: {b: [1, {c: d}]}}}\n"), "Template format error: Every Mappings attribute must be a String or a List."},
		{res("Mappings: {M: {a: {b: !Ref A}}}\n"), "Template format error: Every Mappings attribute must be a String or a List."},
		{res("Mappings: {M-1: {a: {b: c}}}\n"), "Template format error: Mappings name 'M-1' is non alphanumeric."},
		{res("Conditions: {a-b: !Equals [a, b]}\n"), "Template format error: Conditions name a-b is non alphanumeric."},
		{res("Conditions: {C: [a]}\n"), "Template format error: Conditions can only be boolean operations"},
		{res("Rules: [a]\n"), "Template format error: Rules member must be a map."},
		{res("Rules: {R: {Assertion: []}}\n"), "Invalid template rule property 'Assertion'"},
		{res("Rules: {R: {Assertions: [{Asert: x}]}}\n"), "must be a map with an Assert."},
		{res("Rules: {R: {Assertions: [{Assert: !Contains [[a], a], Description: x}]}}\n"), "Invalid template rule property 'Description'"},
		{res("Outputs: {O: text}\n"), "Template format error: Every Outputs member must be a map."},
		{res("Outputs: {O: {Value: x, Exports: {Name: y}}}\n"), "Invalid template output property 'Exports' (line 4, column 25)"},
		{res("Outputs: {O: {Value: x, Export: y}}\n"), "Output O is malformed. The Name field of every Export member must be specified."},
		{res("Outputs: {O: {Value: x, Export: {Name: y, As: z}}}\n"), "Invalid template output property 'As'"},
		{res("Outputs: {O: {Value: x, Description: [y]}}\n"), "Every Description member must be a string."},
		{res("Parameters: {P: {Type: String, Default: x, NoEcho: maybe}}\n"), "Template format error: Every NoEcho member must be true or false. (line 4, column 52)"},
		{res("Parameters: {P: {Type: String, Default: x, MinLength: many}}\n"), "Template format error: Every MinLength member must be a number."},
		{res("Parameters: {P: {Type: String, Default: x, AllowedPattern: [x]}}\n"), "Template format error: Every AllowedPattern member must be a string."},
		{res("Parameters: {P: {Type: String, Default: x, AllowedValues: [{a: b}]}}\n"), "Template format error: Every AllowedValues member must be a list."},
		{res("    Depends: B\n"), "Invalid template resource property 'Depends' (line 4, column 5)"},
		{res("    Connectors: {}\n"), "Invalid template resource property 'Connectors'"},
		{res("    DependsOn: {B: C}\n"), "Template format error: Every DependsOn value must be a string. (line 4, column 16)"},
		{res("    DependsOn: [[A]]\n"), "Template format error: Every DependsOn value must be a string."},
		{res("    Condition: [C]\n"), "Template format error: Every Condition member must be a string."},
		{res("    DeletionPolicy: [Retain]\n"), "Template format error: Every DeletionPolicy member must be a string."},
		{res("    DeletionPolicy: !If [C, Retain, Delete]\n"), "Template format error: Every DeletionPolicy member must be a string."},
		{res("    UpdateReplacePolicy: RetainExceptOnCreate\n"), "Template format error: Unrecognized UpdateReplacePolicy RetainExceptOnCreate for resource A"},
		{res("    Metadata: text\n"), "Template format error: [/Resources/A/Metadata] Metadata must be a map. (line 4, column 15)"},
		{res("    CreationPolicy: [x]\n"), "[/Resources/A/CreationPolicy] CreationPolicy must be a map."},
		{res("    UpdatePolicy: 3\n"), "[/Resources/A/UpdatePolicy] UpdatePolicy must be a map."},
		{"Transform: AWS::LanguageExtensions\nResources: {'Fn::ForEach::X': [N, [a], {'R${N}': {Type: AWS::S3::Bucket, Depends: x}}]}\n", ""},
	} {
		parsed, err := Parse([]byte(c.src))
		if c.want == "" {
			_, err = parsed.Bind(stack)
			c.want = "Invalid template resource property 'Depends' (line 2, column 74)"
		}
		if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Code != "ValidationError" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.src, err, c.want)
		}
	}
	for _, src := range []string{res("Hooks: {H: {Type: AWS::CodeDeploy::BlueGreen}}\n"), res("Fn::Transform: {Name: AWS::Include}\n"), res("Mappings: {M: {Fn::Transform: {Name: AWS::Include}}}\n")} {
		if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), " is not built. (line 4") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// Names are looked up wherever they stand, also where a condition leaves them out.
func TestNamesThatNothingDefines(t *testing.T) {
	res := "Conditions: {Never: !Equals [a, b]}\nResources:\n  A:\n    Type: AWS::S3::Bucket\n    Condition: Never\n"
	for _, c := range []struct{ src, want string }{
		{res + "    DependsOn: [A, Gone]\n", "Unresolved resource dependencies [Gone] in the Resources block of the template (line 6, column 20)"},
		{res + "Rules: {R: {Assertions: [{Assert: !Equals [!Ref A, x]}]}}\n", "Unresolved resource dependencies [A] in the Rules block of the template"},
		{res + "Rules: {R: {RuleCondition: !Equals [!GetAtt A.Arn, x], Assertions: []}}\n", "Unresolved resource dependencies [A] in the Rules block of the template"},
		{"Conditions: {C: !Equals [!GetAtt B.Arn, b]}\nResources: {B: {Type: AWS::S3::Bucket}}\n", "Cannot reference resources in the Conditions block of the template"},
		{"Conditions: {C: !Equals [!Sub '${B}', b]}\nResources: {B: {Type: AWS::S3::Bucket}}\n", "Cannot reference resources in the Conditions block of the template"},
	} {
		parsed, err := Parse([]byte(c.src))
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.CheckReferences(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.src, err, c.want)
		}
		if _, err := parsed.Bind(stack); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("bound: %s\n got %v\nwant %s", c.src, err, c.want)
		}
	}
}

// An output that can be no text is found before anything is made.
func TestAnOutputIsText(t *testing.T) {
	res := "Resources:\n  A:\n    Type: AWS::S3::Bucket\nOutputs:\n  O: "
	for _, value := range []string{"[a]", "{a: b}", "!Ref AWS::NoValue", "!Split [a, b]", "[!Ref A]", "{a: !GetAtt A.Arn}", "!Split [a, !Ref A]", ""} {
		for _, form := range []string{"{Value: " + value + "}\n", "{Value: x, Export: {Name: " + value + "}}\n"} {
			if _, err := tryBind(res+form, stack); err == nil || !strings.Contains(err.Error(), "must evaluate to a String. (line 5") {
				t.Errorf("%s: %v", form, err)
			}
		}
	}
	if g := bind(t, res+"{Value: !Select [0, !Split [a, !Ref A]], Export: {Name: 5}}\n", stack); len(g.Outputs) != 1 {
		t.Errorf("%+v", g.Outputs)
	}
}
