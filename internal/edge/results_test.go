package edge

import (
	"testing"
	"time"
)

// TestAVerdictIsOneStagesAlone: what a Lambda authorizer said of a caller of one stage says nothing of
// the same caller of another.
func TestAVerdictIsOneStagesAlone(t *testing.T) {
	r := newRig(t)
	s := *r.guarded("2.0", true, "$request.header.X-Key")
	s.Stage.StageName = "beta"
	r.http.stages = append(r.http.stages, s)
	r.http.version++
	r.functions.code[guard] = func(e map[string]any) (any, error) {
		stage := e["requestContext"].(map[string]any)["stage"]
		return map[string]any{"isAuthorized": e["identitySource"].([]any)[0] == stage}, nil
	}
	for range 2 {
		r.want(request("GET", "/a", "X-Key", "$default"), 200, "hello")
		r.want(request("GET", "/beta/a", "X-Key", "$default"), 403, `{"message":"Forbidden"}`)
		r.want(request("GET", "/beta/a", "X-Key", "beta"), 200, "hello")
		r.want(request("GET", "/a", "X-Key", "beta"), 403, `{"message":"Forbidden"}`)
	}
	if n := r.functions.count(guard); n != 4 {
		t.Errorf("asked %d times about two callers of two stages", n)
	}
}

// TestEveryPartOfAResultsKeyCounts changes one thing at a time that a verdict may depend on.
func TestEveryPartOfAResultsKeyCounts(t *testing.T) {
	type parts struct {
		api    api
		stage  stage
		by     authorizer
		values []string
	}
	keys := map[[32]byte]string{}
	for name, change := range map[string]func(*parts){
		"as it is":                  func(*parts) {},
		"account":                   func(p *parts) { p.api.account = "210987654321" },
		"region":                    func(p *parts) { p.api.region = "eu-west-2" },
		"API":                       func(p *parts) { p.api.id = "b2" },
		"stage":                     func(p *parts) { p.stage.name = "beta" },
		"authorizer":                func(p *parts) { p.by.id = "z2" },
		"kind":                      func(p *parts) { p.by.kind = "TOKEN" },
		"function":                  func(p *parts) { p.by.uri = fn },
		"payload":                   func(p *parts) { p.by.payload = "1.0" },
		"validation":                func(p *parts) { p.by.validation = "x" },
		"simple":                    func(p *parts) { p.by.simple = true },
		"how long it is kept":       func(p *parts) { p.by.ttl = time.Hour },
		"a source":                  func(p *parts) { p.by.sources[0] = "$request.header.C" },
		"sources exchanged":         func(p *parts) { p.by.sources[0], p.by.sources[1] = p.by.sources[1], p.by.sources[0] },
		"a value":                   func(p *parts) { p.values[1] = "z" },
		"values exchanged":          func(p *parts) { p.values[0], p.values[1] = p.values[1], p.values[0] },
		"a value's end in the next": func(p *parts) { p.values[0], p.values[1] = "x", "y"+p.values[1] },
		"a value more":              func(p *parts) { p.values = append(p.values, "") },
		"a source that becomes a value": func(p *parts) {
			p.by.sources, p.values = p.by.sources[:1], append([]string{p.by.sources[1]}, p.values...)
		},
	} {
		p := parts{api{account: account, region: region, id: apiName}, stage{name: "live"},
			authorizer{id: "z1", kind: "REQUEST", uri: guard, payload: "2.0", ttl: time.Minute, sources: []string{"$request.header.A", "$request.header.B"}}, []string{"xy", "w"}}
		change(&p)
		k := (&exchange{api: &p.api, stage: &p.stage}).resultKey(&p.by, p.values)
		if same, ok := keys[k]; ok {
			t.Errorf("%q and %q have one key", name, same)
		}
		keys[k] = name
	}
}
