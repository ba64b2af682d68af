package tree

import (
	"errors"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

func mustParse(t *testing.T, src string) *Node {
	t.Helper()
	n, err := Parse([]byte(src))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, src)
	}
	return n
}

// A template says the same thing in YAML with short tags, in YAML with long names and in JSON.
func TestThreeWaysToWriteOneTemplate(t *testing.T) {
	short := mustParse(t, `
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Condition: IsProd
    Properties:
      TableName: !Sub "${Stage}-tasks"
      Arn: !GetAtt Other.Nested.Arn
      Size: !If [IsProd, 10, !Ref Small]
      Zone: !Select [0, !GetAZs ""]
      Text: !Base64 |
        hello
      Name: !Join
        - "-"
        - [a, !ImportValue b]
`)
	long := mustParse(t, `{
  "Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Condition": "IsProd", "Properties": {
    "TableName": {"Fn::Sub": "${Stage}-tasks"},
    "Arn": {"Fn::GetAtt": ["Other", "Nested.Arn"]},
    "Size": {"Fn::If": ["IsProd", 10, {"Ref": "Small"}]},
    "Zone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
    "Text": {"Fn::Base64": "hello\n"},
    "Name": {"Fn::Join": ["-", ["a", {"Fn::ImportValue": "b"}]]}
  }}}}`)
	if !Equal(short, long) {
		t.Errorf("YAML:\n%s\nJSON:\n%s", short.JSON(" "), long.JSON(" "))
	}
	again := mustParse(t, short.JSON("  "))
	if !Equal(short, again) {
		t.Errorf("rendered and read again:\n%s", again.JSON(" "))
	}
}

func TestEachValueKnowsItsPlace(t *testing.T) {
	yaml := mustParse(t, "Resources:\n  Fn:\n    Type: \"Ä\"\n    Role: !GetAtt A.B\n")
	json := mustParse(t, "{\n  \"Resources\": {\"Fn\":\n {\"Type\": \"Ä\", \"Role\" : [1,  true]}}}")
	for _, c := range []struct {
		what string
		got  Pos
		want Pos
	}{
		{"yaml key", yaml.Field("Resources").Pos, Pos{1, 1}},
		{"yaml nested key", yaml.Get("Resources").Field("Fn").Pos, Pos{2, 3}},
		{"yaml value", yaml.Dig("Resources", "Fn", "Type").Pos, Pos{3, 11}},
		{"yaml tag", yaml.Dig("Resources", "Fn", "Role").Pos, Pos{4, 11}},
		{"json key", json.Field("Resources").Pos, Pos{2, 3}},
		{"json value", json.Dig("Resources", "Fn").Pos, Pos{3, 2}},
		{"json key after a wide letter", json.Dig("Resources", "Fn").Field("Role").Pos, Pos{3, 16}},
		{"json second item", json.Dig("Resources", "Fn", "Role").Items[1].Pos, Pos{3, 30}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

// YAML 1.1 as CloudFormation reads it: dates, versions in quotes, account numbers and ports stay
// text, yes and no are booleans.
func TestPlainScalars(t *testing.T) {
	n := mustParse(t, `
Date: 2012-10-17
Account: 012345678901
Port: 22:22
Yes: yes
Off: off
Y: y
Octal: 0755
Hex: 0x1F
Int: 1_000
Float: 1.10
Exp: 1.0e+3
NotExp: 1e3
Quoted: "true"
Nothing: ~
Empty:
Big: 123456789012345678901234567890
200: ok
`)
	want := M("Date", "2012-10-17", "Account", "012345678901", "Port", "22:22", "Yes", true, "Off", false, "Y", "y",
		"Octal", 493, "Hex", 31, "Int", 1000, "Float", &Node{Kind: Float, Text: "1.1"}, "Exp", &Node{Kind: Float, Text: "1000.0"},
		"NotExp", "1e3", "Quoted", "true", "Nothing", Nil(), "Empty", Nil(),
		"Big", &Node{Kind: Int, Text: "123456789012345678901234567890"}, "200", "ok")
	if !Equal(n, want) {
		t.Errorf("got  %s\nwant %s", n.JSON(""), want.JSON(""))
	}
}

func TestWhatIsRefusedSaysWhere(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'h'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [*" + strings.Join(strings.Split(strings.Repeat(prev, 10), ""), ",*") + "]\n"
	}
	for _, c := range []struct{ name, src, want string }{
		{"a key twice in YAML", "A: 1\nB: 2\nA: 3\n", `Template format error: Duplicate key "A" found. (line 1, column 1; line 3, column 1)`},
		{"a key twice in JSON", "{\"A\": {\"x\": 1,\n \"x\": 2}}", `Template format error: Duplicate key "x" found. (line 1, column 8; line 2, column 2)`},
		{"broken JSON", "{\"A\": \n  tru]", "Template format error: JSON not well-formed. (line 2, column 3)"},
		{"unfinished JSON", "{\"A\": {", "Template format error: JSON not well-formed."},
		{"a tab in YAML", "A:\n\tB: 1\n", "Template format error: YAML not well-formed."},
		{"two documents", "A: 1\n---\nB: 1\n", "More than one document"},
		{"a list", "- A\n", "Template format error: unsupported structure. (line 1, column 1)"},
		{"nothing", "", "Template format error: unsupported structure."},
		{"aliases that multiply", bomb, "more than 200000 values"},
		{"an alias in itself", "A: &a [*a]\n", "Template format error: YAML not well-formed."},
		{"depth", strings.Repeat("{\"a\":", 80) + "1" + strings.Repeat("}", 80), "nested deeper than 64 levels"},
		{"size", strings.Repeat(" ", MaxSize+1), "may not exceed 1048576 bytes"},
		{"a binary tag", "A: !!binary aGVsbG8=\n", "The tag !!binary is not supported. (line 1, column 4)"},
	} {
		_, err := Parse([]byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
			continue
		}
		if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Code != "ValidationError" || e.Status != 400 {
			t.Errorf("%s: a client would see %v", c.name, e)
		}
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	n := mustParse(t, "Base: &b {A: 1, B: 2}\nOne:\n  <<: *b\n  B: 3\nTwo: *b\n")
	if got := n.Get("One"); !Equal(got, M("B", 3, "A", 1)) {
		t.Errorf("merged: %s", got.JSON(""))
	}
	if got := n.Get("Two"); !Equal(got, M("A", 1, "B", 2)) {
		t.Errorf("alias: %s", got.JSON(""))
	}
}

// Canonical is hashed into names, so it must be byte for byte json.dumps(sort_keys, compact).
func TestCanonicalIsPythons(t *testing.T) {
	n := M("b", L(Integer(1), &Node{Kind: Float, Text: floatText(0.1)}, &Node{Kind: Float, Text: floatText(1e16)}), "a", "é\"\\\n\x01😀/<\x7f")
	want := `{"a":"\u00e9\"\\\n\u0001\ud83d\ude00/<` + "\x7f" + `","b":[1,0.1,1e+16]}`
	if got := n.Canonical(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"A: !Sub x\n", `{"A": [1, {"B": null}]}`, "A: &a {x: 1}\nB: *a\n", "<<: {A: 1}", "{A: !GetAtt b.c}", "A: !If [a, 0x1, .5]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		n, err := Parse(src)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("an error of another type: %T %v", err, err)
			}
			return
		}
		again, err := Parse([]byte(n.JSON("")))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, n.JSON(""))
		}
		if n.Canonical() != again.Canonical() {
			t.Fatalf("changed by writing and reading:\n%s\n%s", n.Canonical(), again.Canonical())
		}
	})
}
