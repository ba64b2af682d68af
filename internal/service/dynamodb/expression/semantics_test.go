package expression

import (
	"testing"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

const stored = `{"pk":{"S":"p"},"n":{"N":"10"},"s":{"S":"banana"},"b":{"B":"AQID"},"flag":{"BOOL":true},"nothing":{"NULL":true},
	"tags":{"SS":["red","green"]},"nums":{"NS":["1","5"]},"letters":{"L":[{"S":"a"},{"S":"b"},{"N":"3"}]},"vacant":{"L":[]},
	"info":{"M":{"nested":{"M":{"deep":{"S":"x"}}},"arr":{"L":[{"M":{"v":{"N":"1"}}},{"M":{"v":{"N":"2"}}}]}}},
	"dotted.name":{"S":"yes"},"unicode":{"S":"😀"}}`

func TestConditionSemantics(t *testing.T) {
	it := vals(t, stored)
	for _, c := range []struct {
		text, values string
		want         bool
	}{
		{"n > :v", `{":v":{"N":"9"}}`, true},
		{"n < :v", `{":v":{"N":"100"}}`, true},
		{"n = :v", `{":v":{"N":"10.0"}}`, true},
		{":v = n", `{":v":{"N":"1e1"}}`, true},
		{"s > :v", `{":v":{"S":"apple"}}`, true},
		{"unicode > :v", `{":v":{"S":"` + "\ufffd" + `"}}`, true}, // by UTF-8 bytes, not UTF-16 units
		{"absent <> :v", `{":v":{"N":"1"}}`, true},
		{"absent = :v", `{":v":{"N":"1"}}`, false},
		{"absent < :v", `{":v":{"N":"1"}}`, false},
		{"NOT absent = :v", `{":v":{"N":"1"}}`, true},
		{"s <> :v", `{":v":{"N":"1"}}`, true},
		{"s > :v", `{":v":{"N":"1"}}`, false},
		{"n BETWEEN :a AND :b", `{":a":{"N":"10"},":b":{"N":"20"}}`, true},
		{"n BETWEEN :a AND :b", `{":a":{"N":"11"},":b":{"N":"20"}}`, false},
		{"s IN (:a, :b)", `{":a":{"S":"apple"},":b":{"S":"banana"}}`, true},
		{"s IN (:a)", `{":a":{"S":"apple"}}`, false},
		{"n = :y OR n = :y AND n = :n", `{":y":{"N":"10"},":n":{"N":"11"}}`, true},
		{"(n = :y OR n = :y) AND n = :n", `{":y":{"N":"10"},":n":{"N":"11"}}`, false},
		{"NOT n = :n AND n = :y", `{":y":{"N":"10"},":n":{"N":"11"}}`, true},
		{"attribute_exists(nothing) AND attribute_not_exists(absent)", "", true},
		{"attribute_exists(info.nested.deep) AND attribute_not_exists(info.nested.deep.more)", "", true},
		{"attribute_not_exists(letters[9]) AND attribute_exists(letters[2])", "", true},
		{"attribute_type(tags, :a) AND attribute_type(nothing, :b)", `{":a":{"S":"SS"},":b":{"S":"NULL"}}`, true},
		{"attribute_type(n, :a)", `{":a":{"S":"S"}}`, false},
		{"attribute_type(absent, :a)", `{":a":{"S":"S"}}`, false},
		{"begins_with(s, :a)", `{":a":{"S":"ban"}}`, true},
		{"begins_with(s, :a)", `{":a":{"S":"nan"}}`, false},
		{"begins_with(b, :a)", `{":a":{"B":"AQI="}}`, true},
		{"begins_with(n, :a)", `{":a":{"S":"1"}}`, false},
		{"contains(s, :a) AND contains(tags, :b) AND contains(nums, :c) AND contains(letters, :d)",
			`{":a":{"S":"nan"},":b":{"S":"red"},":c":{"N":"5.0"},":d":{"N":"3"}}`, true},
		{"contains(tags, :a)", `{":a":{"S":"re"}}`, false},
		{"contains(b, :a)", `{":a":{"B":"Ag=="}}`, true},
		{"size(s) = :a AND size(b) = :b AND size(tags) = :c AND size(letters) = :b AND size(info) = :c AND size(vacant) = :z",
			`{":a":{"N":"6"},":b":{"N":"3"},":c":{"N":"2"},":z":{"N":"0"}}`, true},
		{"size(n) > :a", `{":a":{"N":"0"}}`, false},
		{"size(absent) > :a", `{":a":{"N":"0"}}`, false},
		{"info.arr[1].v = :a", `{":a":{"N":"2"}}`, true},
		{"info.arr[1].v > info.arr[0].v", "", true},
		{"flag = :a", `{":a":{"BOOL":true}}`, true},
		{"nothing = :a", `{":a":{"NULL":true}}`, true},
		{"tags = :a", `{":a":{"SS":["green","red"]}}`, true},
		{"letters = :a", `{":a":{"L":[{"S":"b"},{"S":"a"},{"N":"3"}]}}`, false},
		{"info.nested = :a", `{":a":{"M":{"deep":{"S":"x"}}}}`, true},
	} {
		s, err := NewCache(1).Open(nil, vals(t, c.values))
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Predicate(Condition, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := p.Match(it); got != c.want {
			t.Errorf("%s with %s is %v", c.text, c.values, got)
		}
	}
	s, _ := NewCache(1).Open(map[string]string{"#d": "dotted.name"}, nil)
	p, err := s.Predicate(Condition, "attribute_exists(#d) AND attribute_not_exists(dotted.#d)")
	if err != nil || !p.Match(it) || p.Match(nil) {
		t.Errorf("a name with a dot is one attribute: %v", err)
	}
	if (*Predicate)(nil).Match(nil) != true {
		t.Error("no condition must be satisfied")
	}
}

func change(t *testing.T, text, values string) *Change {
	t.Helper()
	s, err := NewCache(1).Open(nil, vals(t, values))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Change(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestUpdates(t *testing.T) {
	const before = `{"pk":{"S":"p"},"n":{"N":"1"},"l":{"L":[{"S":"a"},{"S":"b"},{"S":"c"},{"S":"d"}]},"m":{"M":{"k":{"S":"v"},"o":{"N":"7"}}},"ss":{"SS":["a","b"]}}`
	for _, c := range []struct{ text, values, touched, want string }{
		{"SET a = :v", `{":v":{"S":"x"}}`, "a", `{"S":"x"}`},
		{"SET n = n + :v", `{":v":{"N":"4"}}`, "n", `{"N":"5"}`},
		{"SET n = :v - n", `{":v":{"N":"0.5"}}`, "n", `{"N":"-0.5"}`},
		{"SET a = n, n = pk", "", "a", `{"N":"1"}`},
		{"SET a = if_not_exists(x, :v)", `{":v":{"N":"0"}}`, "a", `{"N":"0"}`},
		{"SET n = if_not_exists(n, :v) + :v", `{":v":{"N":"2"}}`, "n", `{"N":"3"}`},
		{"SET l = list_append(l, :v)", `{":v":{"L":[{"N":"1"}]}}`, "l", `{"L":[{"S":"a"},{"S":"b"},{"S":"c"},{"S":"d"},{"N":"1"}]}`},
		{"SET l = list_append(:v, l)", `{":v":{"L":[{"N":"1"}]}}`, "l", `{"L":[{"N":"1"},{"S":"a"},{"S":"b"},{"S":"c"},{"S":"d"}]}`},
		{"SET l[1] = :v", `{":v":{"N":"1"}}`, "l", `{"L":[{"S":"a"},{"N":"1"},{"S":"c"},{"S":"d"}]}`},
		{"SET l[9] = :v, l[7] = pk", `{":v":{"N":"9"}}`, "l", `{"L":[{"S":"a"},{"S":"b"},{"S":"c"},{"S":"d"},{"S":"p"},{"N":"9"}]}`},
		{"REMOVE l[1], l[2]", "", "l", `{"L":[{"S":"a"},{"S":"d"}]}`},
		{"REMOVE l[3], l[9]", "", "l", `{"L":[{"S":"a"},{"S":"b"},{"S":"c"}]}`},
		{"REMOVE l[0] SET l[2] = :v", `{":v":{"N":"1"}}`, "l", `{"L":[{"S":"b"},{"N":"1"},{"S":"d"}]}`},
		{"SET m.k = :v, m.j = m.k REMOVE m.o", `{":v":{"N":"1"}}`, "m", `{"M":{"j":{"S":"v"},"k":{"N":"1"}}}`},
		{"REMOVE m.zz", "", "m", `{"M":{"k":{"S":"v"},"o":{"N":"7"}}}`},
		{"REMOVE n, zz", "", "n", `null`},
		{"ADD n :v", `{":v":{"N":"-3"}}`, "n", `{"N":"-2"}`},
		{"ADD a :v", `{":v":{"N":"3"}}`, "a", `{"N":"3"}`},
		{"ADD m.o :v", `{":v":{"N":"3"}}`, "m", `{"M":{"k":{"S":"v"},"o":{"N":"10"}}}`},
		{"ADD ss :v", `{":v":{"SS":["b","c"]}}`, "ss", `{"SS":["a","b","c"]}`},
		{"ADD a :v", `{":v":{"SS":["z"]}}`, "a", `{"SS":["z"]}`},
		{"DELETE ss :v", `{":v":{"SS":["b","x"]}}`, "ss", `{"SS":["a"]}`},
		{"DELETE ss :v", `{":v":{"SS":["b","a"]}}`, "ss", `null`},
		{"DELETE zz :v", `{":v":{"SS":["b"]}}`, "zz", `null`},
	} {
		it := vals(t, before)
		after, err := change(t, c.text, c.values).Apply(it)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := string(after.Get(c.touched).AppendJSON(nil)); got != c.want {
			t.Errorf("%s: %s is %s, want %s", c.text, c.touched, got, c.want)
		}
		if !item.EqualItems(it, vals(t, before)) {
			t.Fatalf("%s changed the item that it was given", c.text)
		}
	}
}

func TestUpdatesThatFail(t *testing.T) {
	const before = `{"pk":{"S":"p"},"b":{"M":{"a":{"SS":["1"]}}},"c":{"N":"1"},"d":{"NS":["1"]},"e":{"L":[{"S":"x"}]},"big":{"N":"9.9e125"}}`
	for _, c := range []struct{ text, values, want string }{
		{"SET x = y", "", errMissing},
		{"SET x = list_append(y, pk)", "", errMissing},
		{"SET x = y + :v", `{":v":{"N":"1"}}`, errMissing},
		{"SET y.a = :v", `{":v":{"N":"1"}}`, errNoSuchPath},
		{"SET y[1] = :v", `{":v":{"N":"1"}}`, errNoSuchPath},
		{"SET b[1] = :v", `{":v":{"N":"1"}}`, errNoSuchPath},
		{"SET e.a = :v", `{":v":{"N":"1"}}`, errNoSuchPath},
		{"SET e[5].a = :v", `{":v":{"N":"1"}}`, errNoSuchPath},
		{"REMOVE y.a", "", errNoSuchPath},
		{"DELETE y.a :v", `{":v":{"SS":["1"]}}`, errNoSuchPath},
		{"ADD c.x :v", `{":v":{"N":"1"}}`, errNoSuchPath},
		{"DELETE d :v", `{":v":{"SS":["1"]}}`, errOperand},
		{"DELETE b.a :v", `{":v":{"NS":["1"]}}`, errOperand},
		{"ADD d :v", `{":v":{"N":"1"}}`, errOperand},
		{"SET x = pk + :v", `{":v":{"N":"1"}}`, errOperand},
		{"SET x = list_append(d, :v)", `{":v":{"L":[]}}`, errOperand},
		{"SET x = big + big", "", "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{"ADD big :v", `{":v":{"N":"9e125"}}`, "Number overflow. Attempting to store a number with magnitude larger than supported range"},
	} {
		it := vals(t, before)
		after, err := change(t, c.text, c.values).Apply(it)
		if reason(err) != c.want || after != nil {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestProjections(t *testing.T) {
	it := vals(t, stored)
	for text, want := range map[string]string{
		"n, pk, absent":                        `{"n":{"N":"10"},"pk":{"S":"p"}}`,
		"letters[2], letters[0], letters[9]":   `{"letters":{"L":[{"S":"a"},{"N":"3"}]}}`,
		"info.nested.deep, info.arr[1].v":      `{"info":{"M":{"arr":{"L":[{"M":{"v":{"N":"2"}}}]},"nested":{"M":{"deep":{"S":"x"}}}}}}`,
		"info.absent, n.x, letters.x, tags[0]": `{}`,
	} {
		s, _ := NewCache(1).Open(nil, nil)
		sel, err := s.Selection(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(sel.Of(it).AppendJSON(nil)); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if got := string(Attributes("s", "zz").Of(it).AppendJSON(nil)); got != `{"s":{"S":"banana"}}` {
		t.Errorf("Attributes: %s", got)
	}
	c := change(t, "SET info.nested.deep = :v, letters[1] = :v REMOVE n", `{":v":{"S":"new"}}`)
	after, err := c.Apply(it)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"info":{"M":{"nested":{"M":{"deep":{"S":"new"}}}}},"letters":{"L":[{"S":"new"}]}}`
	if got := string(c.Touched().Of(after).AppendJSON(nil)); got != want {
		t.Errorf("UPDATED_NEW\n got %s\nwant %s", got, want)
	}
}

func TestKeyConditions(t *testing.T) {
	for text, want := range map[string]string{
		"a = :s":                            "a EQ {S:a}",
		":n < b AND a = :s":                 "b GT {N:1}; a EQ {S:a}",
		"a = :s AND :n >= b":                "a EQ {S:a}; b LE {N:1}",
		"a = :s AND b BETWEEN :n AND :five": "a EQ {S:a}; b BETWEEN {N:1}, {N:5}",
		"(a = :s) AND (begins_with(b, :s))": "a EQ {S:a}; b BEGINS_WITH {S:a}",
	} {
		s, _ := NewCache(1).Open(nil, used(t, text))
		keys, err := s.Keys(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ""
		for i, k := range keys {
			if i > 0 {
				got += "; "
			}
			got += k.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if !(KeyTest{"a", "BETWEEN", []item.Value{item.N("1"), item.N("3")}}).Holds(item.N("3")) ||
		(KeyTest{"a", "BEGINS_WITH", []item.Value{item.S("ab")}}).Holds(item.S("a")) ||
		(KeyTest{"a", "LT", []item.Value{item.N("1")}}).Holds(item.N("1")) {
		t.Error("key tests judge wrongly")
	}
}

func TestPathsAreTold(t *testing.T) {
	c := change(t, "SET a.b = if_not_exists(c.d, e) REMOVE f", "")
	got := ""
	c.Paths(func(head string, nested, target bool) {
		got += head
		if nested {
			got += "*"
		}
		if target {
			got += "!"
		}
		got += " "
	})
	if got != "a*! f! c* e " {
		t.Errorf("paths %q", got)
	}
}

func TestParametersOfOld(t *testing.T) {
	it := vals(t, stored)
	for _, c := range []struct {
		name, operator, values string
		want                   bool
	}{
		{"n", "EQ", `{"a":{"N":"10"}}`, true}, {"n", "NE", `{"a":{"N":"10"}}`, false}, {"absent", "NE", `{"a":{"N":"10"}}`, true},
		{"n", "LE", `{"a":{"N":"10"}}`, true}, {"n", "LT", `{"a":{"N":"10"}}`, false}, {"n", "GE", `{"a":{"N":"9"}}`, true},
		{"n", "GT", `{"a":{"N":"10"}}`, false}, {"nothing", "NOT_NULL", "", true}, {"absent", "NULL", "", true},
		{"tags", "CONTAINS", `{"a":{"S":"red"}}`, true}, {"tags", "NOT_CONTAINS", `{"a":{"S":"red"}}`, false},
		{"absent", "NOT_CONTAINS", `{"a":{"S":"red"}}`, true}, {"s", "BEGINS_WITH", `{"a":{"S":"ba"}}`, true},
		{"n", "IN", `{"a":{"N":"1"},"b":{"N":"10"}}`, true}, {"n", "BETWEEN", `{"a":{"N":"1"},"b":{"N":"10"}}`, true},
	} {
		cmp := Comparison{Name: c.name, Operator: c.operator}
		for _, a := range vals(t, c.values) {
			cmp.Values = append(cmp.Values, a.Value)
		}
		p, err := Comparisons([]Comparison{cmp}, false)
		if err != nil || p.Match(it) != c.want {
			t.Errorf("%s %s %s: %v", c.name, c.operator, c.values, err)
		}
	}
	yes, no := Comparison{Name: "pk", Operator: "NOT_NULL"}, Comparison{Name: "pk", Operator: "NULL"}
	all, _ := Comparisons([]Comparison{yes, no}, false)
	either, _ := Comparisons([]Comparison{no, yes}, true)
	if all.Match(it) || !either.Match(it) {
		t.Error("AND and OR are mixed up")
	}
	for want, c := range map[string]Comparison{
		"One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator":           {"a", "EQ", nil},
		"One or more parameter values were invalid: Invalid number of argument(s) for the NULL ComparisonOperator":         {"a", "NULL", []item.Value{item.S("")}},
		"One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type":        {"a", "IN", []item.Value{item.S("a"), item.N("1")}},
		"One or more parameter values were invalid: ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type": {"a", "BEGINS_WITH", []item.Value{item.N("1")}},
		"The BETWEEN condition was provided a range where the lower bound is greater than the upper bound":                 {"a", "BETWEEN", []item.Value{item.N("2"), item.N("1")}},
	} {
		if _, err := Comparisons([]Comparison{c}, false); reason(err) != want {
			t.Errorf("%v: %v, want %s", c, err, want)
		}
	}
}

func TestAssignments(t *testing.T) {
	it := vals(t, `{"pk":{"S":"p"},"n":{"N":"1"},"l":{"L":[{"S":"a"}]},"ss":{"SS":["a","b"]},"gone":{"S":"x"}}`)
	c, err := Assignments([]Assignment{{"n", "ADD", item.N("2")}, {"l", "ADD", item.L(item.S("b"))}, {"l2", "ADD", item.L(item.S("c"))},
		{"ss", "DELETE", item.Set(item.StringSet, "a")}, {"gone", "DELETE", item.Value{}}, {"p", "", item.S("put")}, {"q", "PUT", item.N("1")}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Apply(it)
	want := `{"l":{"L":[{"S":"a"},{"S":"b"}]},"l2":{"L":[{"S":"c"}]},"n":{"N":"3"},"p":{"S":"put"},"pk":{"S":"p"},"q":{"N":"1"},"ss":{"SS":["b"]}}`
	if err != nil || string(got.AppendJSON(nil)) != want {
		t.Errorf("%s (%v)\nwant %s", got.AppendJSON(nil), err, want)
	}
	wrong, _ := Assignments([]Assignment{{"ss", "ADD", item.N("1")}})
	if _, err := wrong.Apply(it); reason(err) != "Type mismatch for attribute to update" {
		t.Errorf("a wrong type gives %v", err)
	}
	for want, a := range map[string]Assignment{
		"One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified": {"a", "", item.Value{}},
		"One or more parameter values were invalid: DELETE action with value is not supported for the type S":           {"a", "DELETE", item.S("a")},
		"One or more parameter values were invalid: ADD action is not supported for the type M":                         {"a", "ADD", item.M(nil)},
	} {
		if _, err := Assignments([]Assignment{a}); reason(err) != want {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// No text may make the parser fail in any other way than with a message, and what it accepts must
// be safe to evaluate.
func FuzzExpressions(f *testing.F) {
	for _, text := range []string{"a = :s AND (b[0].c <> :n OR NOT contains(d, :s)) AND e BETWEEN :n AND :five", "size(a) IN (:n, :five)",
		"SET a = if_not_exists(b, :n) + :five, c[1] = list_append(:l, d) REMOVE e.f ADD g :ss DELETE h :ns", "a, b.c[0], #x", "a = :s AND begins_with(b, :s)",
		"((((((((((", "NOT NOT NOT a", "_", "a.b.c[", "SET SET"} {
		f.Add(text)
	}
	it, _ := item.ParseItem(`{"a":{"S":"x"},"b":{"L":[{"M":{"c":{"N":"1"}}}]},"c":{"L":[]},"g":{"SS":["q"]}}`)
	values, _ := item.ParseItem(everyValue)
	f.Fuzz(func(t *testing.T, text string) {
		c := NewCache(4)
		s, err := c.Open(map[string]string{"#x": "a"}, values)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.Predicate(Filter, text); err == nil {
			p.Match(it)
			p.Match(nil)
		} else if reason(err) == "" || reason(err)[:8] != "Invalid " {
			t.Fatalf("%q: %v", text, err)
		}
		if ch, err := s.Change(text); err == nil {
			after, err := ch.Apply(it)
			if err == nil {
				if back, err := item.FromBinary(after.AppendBinary(nil)); err != nil || !item.EqualItems(back, after) {
					t.Fatalf("%q makes an item that cannot be stored: %s", text, after.AppendJSON(nil))
				}
				ch.Touched().Of(after)
			}
		}
		if sel, err := s.Selection(text); err == nil {
			sel.Of(it)
		}
		_, _ = s.Keys(text)
	})
}

func BenchmarkConditionAndUpdate(b *testing.B) {
	it := vals(b, stored)
	values := vals(b, `{":one":{"N":"1"},":zero":{"N":"0"},":max":{"N":"100"}}`)
	c := NewCache(16)
	b.ReportAllocs()
	for b.Loop() {
		s, _ := c.Open(map[string]string{"#n": "n"}, values)
		p, err := s.Predicate(Condition, "attribute_exists(pk) AND #n < :max")
		if err != nil {
			b.Fatal(err)
		}
		u, err := s.Change("SET hits = if_not_exists(hits, :zero) + :one")
		if err != nil || s.Close() != nil {
			b.Fatal(err)
		}
		if !p.Match(it) {
			b.Fatal("no match")
		}
		if _, err := u.Apply(it); err != nil {
			b.Fatal(err)
		}
	}
}
