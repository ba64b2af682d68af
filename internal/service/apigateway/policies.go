package apigateway

import (
	"encoding/json"
	"strings"

	"github.com/bastide-cloud/bastide/internal/policy"
)

// written is a resource policy with the shorthand of its resources written out: "execute-api:/dev/GET/a"
// is the same of the API that the policy stands on. Source: API Gateway Developer Guide, "Control
// access to a REST API with API Gateway resource policies".
func (r *record) written(text string) (string, error) {
	var doc map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return "", err
	}
	prefix := "arn:aws:execute-api:" + r.Region + ":" + r.Account + ":" + *r.API.Id + "/"
	list, ok := doc["Statement"].([]any)
	if !ok {
		list = []any{doc["Statement"]}
	}
	for _, s := range list {
		m, ok := s.(map[string]any)
		if !ok {
			continue
		}
		for _, k := range []string{"Resource", "NotResource"} {
			if v, ok := m[k]; ok {
				m[k] = expand(v, prefix)
			}
		}
	}
	b, err := json.Marshal(doc)
	return string(b), err
}

func expand(v any, prefix string) any {
	switch v := v.(type) {
	case string:
		if rest, ok := strings.CutPrefix(v, "execute-api:/"); ok {
			return prefix + rest
		}
	case []any:
		for i := range v {
			v[i] = expand(v[i], prefix)
		}
	}
	return v
}

// checkPolicy refuses a policy that could not be judged.
func (r *record) checkPolicy() error {
	if r.API.Policy == nil || *r.API.Policy == "" {
		r.API.Policy = nil
		return nil
	}
	text, err := r.written(*r.API.Policy)
	if err == nil {
		_, err = policy.Parse([]byte(text), policy.Resource, policy.Options{})
	}
	if err != nil {
		return bad("Invalid policy document. Please check the policy syntax and ensure that Principals are valid. %v", err)
	}
	return nil
}
