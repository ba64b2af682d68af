package expression

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// message opens a scope, binds one expression of the kind, closes the scope and returns what the
// service would answer; empty for an expression that is accepted.
func message(kind Kind, text string, names map[string]string, values item.Item) string {
	return strings.TrimPrefix(reason(bindOne(kind, text, names, values)), "Invalid "+string(kind)+": ")
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	e, ok := err.(*awserr.Error)
	if !ok || e.Code != "ValidationException" || e.Status != 400 {
		return "not a ValidationException: " + err.Error()
	}
	return e.Message
}

func bindOne(kind Kind, text string, names map[string]string, values item.Item) error {
	s, err := NewCache(10).Open(names, values)
	if err != nil {
		return err
	}
	switch kind {
	case Update:
		_, err = s.Change(text)
	case Projection:
		_, err = s.Selection(text)
	case KeyCondition:
		_, err = s.Keys(text)
	default:
		_, err = s.Predicate(kind, text)
	}
	if err != nil {
		return err
	}
	return s.Close()
}

// vals reads values in DynamoDB's JSON.
func vals(t testing.TB, text string) item.Item {
	t.Helper()
	if text == "" {
		return nil
	}
	it, err := item.ParseItem(text)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

const everyValue = `{":s":{"S":"a"},":n":{"N":"1"},":b":{"B":"YQ=="},":bool":{"BOOL":true},":null":{"NULL":true},":ss":{"SS":["a"]},` +
	`":ns":{"NS":["1"]},":bs":{"BS":["YQ=="]},":m":{"M":{}},":l":{"L":[]},":five":{"N":"5"}}`

// used is everyValue cut down to the placeholders that text uses.
func used(t testing.TB, text string) item.Item {
	all := vals(t, everyValue)
	var out item.Item
	for _, tok := range tokens(text) {
		if tok.kind == tokValue {
			name := text[tok.start:tok.end]
			if v := all.Get(name); v.Exists() {
				out = out.With(name, v)
			}
		}
	}
	return out
}

func TestConditionMessages(t *testing.T) {
	names := map[string]string{"#a": "a", "#b": "b"}
	for text, want := range map[string]string{
		"":                                   "The expression can not be empty;",
		"whatever":                           `Syntax error; token: "<EOF>", near: "whatever"`,
		"a =":                                `Syntax error; token: "<EOF>", near: "="`,
		"a = = :s":                           `Syntax error; token: "=", near: "= = :s"`,
		"_hidden = :s":                       `Syntax error; token: "_", near: "_hidden"`,
		"my-attr = :s":                       `Syntax error; token: "-", near: "my-attr"`,
		"a = 1":                              `Syntax error; token: "1", near: "= 1"`,
		`a = "x"`:                            `Syntax error; token: """, near: "= "x"`,
		"a = :s b":                           `Syntax error; token: "b", near: ":s b"`,
		"a = :s AND":                         `Syntax error; token: "<EOF>", near: "AND"`,
		"a AND b = :s":                       `Syntax error; token: "AND", near: "a AND b"`,
		"(a = :s":                            `Syntax error; token: "<EOF>", near: ":s"`,
		"a = :s)":                            `Syntax error; token: ")", near: ":s)"`,
		"(a = :s) = :s":                      `Syntax error; token: "=", near: ") = :s"`,
		"a BETWEEN :n :five":                 `Syntax error; token: ":five", near: ":n :five"`,
		"a IN :n":                            `Syntax error; token: ":n", near: "IN :n"`,
		"a IN ()":                            `Syntax error; token: ")", near: "()"`,
		"a[b] = :s":                          `Syntax error; token: "b", near: "[b]"`,
		"a[-1] = :s":                         `Syntax error; token: "-", near: "[-1"`,
		"a. = :s":                            `Syntax error; token: "=", near: ". = :s"`,
		"a = :":                              `Syntax error; token: ":", near: "= :"`,
		"attribute_exists()":                 `Syntax error; token: ")", near: "()"`,
		"a é :s":                             `Syntax error; token: "é", near: "a é :s"`,
		"((a = :s))":                         "The expression has redundant parentheses;",
		"((a)) = :s":                         "The expression has redundant parentheses;",
		"a = ((:s))":                         "The expression has redundant parentheses;",
		"starts_with(a, :s)":                 "Invalid function name; function: starts_with",
		"ATTRIBUTE_EXISTS(a)":                "Invalid function name; function: ATTRIBUTE_EXISTS",
		"size(a)":                            "The function is not allowed to be used this way in an expression; function: size",
		"NOT size(a)":                        "The function is not allowed to be used this way in an expression; function: size",
		"a = :s OR size(a)":                  "The function is not allowed to be used this way in an expression; function: size",
		"contains(a, :s) = :bool":            "The function is not allowed to be used this way in an expression; function: contains",
		"size(attribute_exists(a)) = :n":     "The function is not allowed to be used this way in an expression; function: attribute_exists",
		"status = :s":                        "Attribute name is a reserved keyword; reserved keyword: status",
		"a.Name = :s":                        "Attribute name is a reserved keyword; reserved keyword: Name",
		"#x = :s":                            "An expression attribute name used in the document path is not defined; attribute name: #x",
		"a.#x = :s":                          "An expression attribute name used in the document path is not defined; attribute name: #x",
		"a = :undefined":                     "An expression attribute value used in expression is not defined; attribute value: :undefined",
		"attribute_exists(a, b)":             "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
		"contains(a)":                        "Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1",
		"attribute_exists(:s)":               "Operator or function requires a document path; operator or function: attribute_exists",
		"attribute_not_exists(size(a))":      "Operator or function requires a document path; operator or function: attribute_not_exists",
		"begins_with(a, :n)":                 "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"begins_with(:ss, a)":                "Incorrect operand type for operator or function; operator or function: begins_with, operand type: SS",
		"attribute_type(a, b)":               "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}",
		"attribute_type(a, :n)":              "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
		"attribute_type(a, :s)":              "Invalid attribute type name found; type: a, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"size(:n) = :five":                   "Incorrect operand type for operator or function; operator or function: size, operand type: N",
		"size(:bool) = :five":                "Incorrect operand type for operator or function; operator or function: size, operand type: BOOL",
		"a < :l":                             "Incorrect operand type for operator or function; operator or function: <, operand type: LIST",
		"a >= :bool":                         "Incorrect operand type for operator or function; operator or function: >=, operand type: BOOLEAN",
		"a BETWEEN :five AND :n":             "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:1}",
		"a BETWEEN :s AND :n":                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {S:a}, upper bound operand: AttributeValue: {N:1}",
		"contains(a, a)":                     "The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [a]",
		"#a.b[1] = a.#b[1]":                  "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a, b, [1]]",
		"contains(a, a) AND #undefined = :n": "The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [a]",
		"contains(a, a) OR ((a = :n))":       "The expression has redundant parentheses;",
		"a = :s AND foo(a) AND ((b = :s))":   "The expression has redundant parentheses;",
		"status = :s AND foo(a)":             "Invalid function name; function: foo",
		strings.Repeat("a", 4097):            "Expression size has exceeded the maximum allowed size; expression size: 4097",
		"a = :s" + strings.Repeat(" OR a=:s", 150):    "The expression contains too many operators; operator count: 301",
		"a IN (:s" + strings.Repeat(",:s", 100) + ")": "The IN operator is provided with too many operands; number of operands: 101",
		"a" + strings.Repeat(".a", 32) + " = :s":      "The document path has too many nesting elements; nesting levels: 33",
	} {
		if got := message(Condition, text, pick(names, text), used(t, text)); got != want {
			t.Errorf("%.90s\n got %s\nwant %s", text, got, want)
		}
	}
}

func pick(names map[string]string, text string) map[string]string {
	out := map[string]string{}
	for k, v := range names {
		if strings.Contains(text, k) {
			out[k] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func TestConditionsThatAreAccepted(t *testing.T) {
	for _, text := range []string{
		"a = :s", "(a = :s)", "(a) = (:s)", "NOT a = :s", "NOT NOT (a = :s)", "not(a=:s)and(b<>:n)Or a in(:s)",
		"(attribute_not_exists(pk) AND (attribute_not_exists(a)))", "a between :n and :five AND b BETWEEN :s AND :s",
		"size(a) > :n", ":n < size(a)", "size(:s) = :n", "contains(:s, a)", "(a).b = :s", "(a.b)[0] = :s", "a [ 0 ] . b = :s",
		"a = :s" + strings.Repeat(" OR a=:s", 149), "a IN (:s" + strings.Repeat(",:s", 99) + ")",
		"a" + strings.Repeat(".a", 31) + " = :s", "begins_with(a, b)", ":s = :s", "attribute_exists(a[0][1].b)",
	} {
		if got := message(Filter, text, nil, used(t, text)); got != "" {
			t.Errorf("%.90s: %s", text, got)
		}
	}
}

func TestUpdateMessages(t *testing.T) {
	names := map[string]string{"#a": "a", "#c": "c", "#d": "[3]"}
	syntax := []string{"whatever", "set a", "add a", "delete a", "set a=set", "remove a = b", "add a = b", "delete a = b", "delete a b",
		"delete a if_not_exist(b)", "add abort b", "add a if_not_exist(b)", "remove a b", "set a b", "set :a = b", "add :a b", "delete :a b",
		"remove :a", "set a = b / c", "set a = b * c", `set a[1] = "eight"`, "set a[1] = 1", "SET a = if_not_exist(a, 100)",
		"SET if_not_exist(a, b) = a", "set (a = (b + c))", "set a = (b.c).d + e", "set a = (b.c)[0] + e", "set a = b + c + d",
		"set a = (b + c) + d", "set", "set a = b,", "set a = b remove", "a = b", "set a = if_not_exists(a b)"}
	for _, text := range syntax {
		if got := message(Update, text, nil, nil); !strings.HasPrefix(got, "Syntax error; token: ") {
			t.Errorf("%s: %q, want a syntax error", text, got)
		}
	}
	for text, want := range map[string]string{
		"":                                    "The expression can not be empty;",
		"INVALID SYNTAX HERE":                 `Syntax error; token: "INVALID", near: "INVALID SYNTAX"`,
		" set #c = :c set abOrt = true ":      "Attribute name is a reserved keyword; reserved keyword: abOrt",
		" remove Absolute ":                   "Attribute name is a reserved keyword; reserved keyword: Absolute",
		"set #c = if_not_exist(:c) set c = d": "Invalid function name; function: if_not_exist",
		"set a = size(b)":                     "Invalid function name; function: size",
		"set a = #c set c = :d":               `The "SET" section can only be used once in an update expression;`,
		"remove #d set a = b remove e":        `The "REMOVE" section can only be used once in an update expression;`,
		"add #d :e set a = b add e :f":        `The "ADD" section can only be used once in an update expression;`,
		"SET #x = if_not_exists(:c)":          "An expression attribute name used in the document path is not defined; attribute name: #x",
		"SET #a = if_not_exists(:c)":          "An expression attribute value used in expression is not defined; attribute value: :c",
		"set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)":    overlap("overlap", "[c, [1], a]", "[c]"),
		"set c.b.#c = a, c = a, #d = a":                               overlap("overlap", "[c, b, c]", "[c]"),
		"set a = b remove a, #c, #d":                                  overlap("overlap", "[a]", "[a]"),
		"set #c[3].#d = a, #c[3] = a":                                 overlap("overlap", "[c, [3], [3]]", "[c, [3]]"),
		"remove c, #c.a, #d":                                          overlap("overlap", "[c]", "[c, a]"),
		"set #c[3].#d = a, #c.#d[3] = if_not_exists(a)":               overlap("conflict", "[c, [3], [3]]", "[c, [3], [3]]"),
		"remove a.#c set a[1] = #d":                                   overlap("conflict", "[a, c]", "[a, [1]]"),
		"set b = list_append(:s, a), c = if_not_exists(a) add a.b :s": addType("ADD", "STRING"),
		"delete a.b :s":                                               addType("DELETE", "STRING"),
		"add a.b :null":                                               addType("ADD", "NULL"),
		"delete a.b :null":                                            addType("DELETE", "NULL"),
		"add a.b :bool":                                               addType("ADD", "BOOLEAN"),
		"add a.b :b":                                                  addType("ADD", "BINARY"),
		"delete a.b :m":                                               addType("DELETE", "MAP"),
		"add a.b :l":                                                  addType("ADD", "LIST"),
		"delete a.b :n":                                               addType("DELETE", "NUMBER"),
		"set a = if_not_exists(c)":                                    "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1",
		"set a = list_append(c)":                                      "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 1",
		"set a = if_not_exists(:s, c)":                                "Operator or function requires a document path; operator or function: if_not_exists",
		"set a = if_not_exists(if_not_exists(a, b), c)":               "Operator or function requires a document path; operator or function: if_not_exists",
		"set a = list_append(:s, a)":                                  wrongType("list_append", "S"),
		"set a = list_append(a, :n)":                                  wrongType("list_append", "N"),
		"set a = list_append(:null, a)":                               wrongType("list_append", "NULL"),
		"set a = a + :s":                                              wrongType("+", "S"),
		"set a = :s + :b":                                             wrongType("+", "S"),
		"set a = :b + a":                                              wrongType("+", "B"),
		"set a = a + :l":                                              wrongType("+", "L"),
		"set a = a - :ss":                                             wrongType("-", "SS"),
		"set a = :m - a":                                              wrongType("-", "M"),
	} {
		if got := message(Update, text, pick(names, text), used(t, text)); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	for _, text := range []string{"set a = (b + c)", "SET a = if_not_exists(a, b) + b", "SET a = if_not_exists(a, if_not_exists(a, b))",
		"set a = ((b.c.d)+(e))", "set a[1] = b remove c add d :n delete e :ss", "set a.b = b, a.c = :s", "REMOVE a[1], a[2]"} {
		if got := message(Update, text, nil, used(t, text)); got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func overlap(how, one, two string) string {
	return fmt.Sprintf("Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", how, one, two)
}

func addType(operator, typ string) string {
	return "Incorrect operand type for operator or function; operator: " + operator + ", operand type: " + typ
}

func TestProjectionMessages(t *testing.T) {
	for text, want := range map[string]string{
		"":               "The expression can not be empty;",
		"a,":             `Syntax error; token: "<EOF>", near: ","`,
		"a b":            `Syntax error; token: "b", near: "a b"`,
		":a":             `Syntax error; token: ":a", near: ":a"`,
		"a, a":           overlap("overlap", "[a]", "[a]"),
		"a.b[0], a.b":    overlap("overlap", "[a, b, [0]]", "[a, b]"),
		"a.b, a[0]":      overlap("conflict", "[a, b]", "[a, [0]]"),
		"a, #x, comment": "Attribute name is a reserved keyword; reserved keyword: comment",
		"a, #x":          "An expression attribute name used in the document path is not defined; attribute name: #x",
		"a.b, a.c, d[0]": "",
	} {
		if got := message(Projection, text, nil, nil); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestKeyConditionMessages(t *testing.T) {
	for text, want := range map[string]string{
		"a = :s OR b = :s":              "Invalid operator used in KeyConditionExpression: OR",
		"a = :s AND NOT b = :s":         "Invalid operator used in KeyConditionExpression: NOT",
		"a = :s AND b IN (:s)":          "Invalid operator used in KeyConditionExpression: IN",
		"a = :s AND b <> :s":            "Invalid operator used in KeyConditionExpression: <>",
		"a = :s AND contains(b, :s)":    "Invalid operator used in KeyConditionExpression: contains",
		"attribute_exists(a)":           "Invalid operator used in KeyConditionExpression: attribute_exists",
		"size(a) = :n":                  "KeyConditionExpressions cannot contain nested operations",
		"a = :s AND b.c = :s":           "KeyConditionExpressions cannot have conditions on nested attributes",
		"a = b":                         "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
		":s = :s":                       "Invalid condition in KeyConditionExpression: No key attribute specified",
		"a = :s AND a = :s":             "KeyConditionExpressions must only contain one condition per key",
		"a = :s AND :n BETWEEN b AND c": "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand",
		"a = :s AND begins_with(:s, b)": "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand",
		"a = :undefined":                "An expression attribute value used in expression is not defined; attribute value: :undefined",
		"a = :s AND begins_with(b, :n)": wrongType("begins_with", "N"),
		"(a = :s) AND (b = :n)":         "",
		"(a = :s AND b > :n)":           "",
	} {
		if got := message(KeyCondition, text, nil, used(t, text)); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestPlaceholderMessages(t *testing.T) {
	for _, c := range []struct {
		names  map[string]string
		values string
		want   string
	}{
		{map[string]string{}, "", "ExpressionAttributeNames must not be empty"},
		{map[string]string{"a": "x"}, "", `ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`},
		{map[string]string{"#": "x"}, "", `ExpressionAttributeNames contains invalid key: Syntax error; key: "#"`},
		{nil, `{}`, "ExpressionAttributeValues must not be empty"},
		{nil, `{"b":{"S":"a"},":b":{"a":""}}`, `ExpressionAttributeValues contains invalid key: Syntax error; key: "b"`},
		{nil, `{":b":{}}`, "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :b"},
		{nil, `{":b":{"N":"x"}}`, "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :b"},
		{nil, `{":s":{"SS":[]}}`, "ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An string set  may not be empty for key :s"},
		{map[string]string{"#b": "x", "#a": "y"}, "", "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"},
		{nil, `{":x":{"S":""},":s":{"S":""}}`, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:s, :x}"},
	} {
		if got := message(Condition, "attribute_exists(a)", c.names, vals(t, c.values)); got != c.want {
			t.Errorf("%v %s\n got %s\nwant %s", c.names, c.values, got, c.want)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	c := NewCache(3)
	for i := 0; i < 50; i++ {
		s, _ := c.Open(nil, nil)
		if _, err := s.Predicate(Condition, fmt.Sprintf("attribute_exists(a%d)", i%7)); err != nil {
			t.Fatal(err)
		}
		if len(c.progs) > 3 {
			t.Fatalf("%d texts are kept, 3 may be", len(c.progs))
		}
	}
}
