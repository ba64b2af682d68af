package sam

import "github.com/bastide-cloud/bastide/internal/template/tree"

// sharedPlan gathers the APIs that share one usage plan.
type sharedPlan struct {
	apis, stages, keys *Node
	deletion, replace  string
	conditions         []string
	unconditional      bool
}

const sharedCondition = "SharedUsagePlanCondition"

// usagePlan makes the usage plan, key and their link that Auth.UsagePlan asks for.
func (m *macro) usagePlan(stage *generated) ([]*generated, error) {
	up := m.get("Auth").Get("UsagePlan")
	if up.Absent() {
		return nil, nil
	}
	if !up.Is(tree.Map) {
		return nil, m.errorf(up, "'UsagePlan' must be a dictionary")
	}
	for _, f := range up.Fields {
		if !in([]string{"CreateUsagePlan", "Description", "Quota", "Tags", "Throttle", "UsagePlanName"}, f.Key) {
			return nil, tree.Errorf(f.Pos, "Invalid property for 'UsagePlan'")
		}
	}
	var made []*generated
	var err error
	switch create := up.Get("CreateUsagePlan"); {
	case create.Absent():
		return nil, m.errorf(up, "'CreateUsagePlan' is a required field for UsagePlan.")
	case create.IsString("NONE"):
		return nil, nil
	case create.IsString("PER_API"):
		made = m.planOf(m.id, m.attrs(), tree.L(), tree.L(), tree.L(), stage)
	case create.IsString("SHARED"):
		made, err = m.planOfAll(stage)
	default:
		return nil, m.errorf(create, "'CreateUsagePlan' accepts one of ['SHARED', 'PER_API', 'NONE'].")
	}
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"UsagePlanName", "Description", "Quota", "Tags", "Throttle"} {
		if v := up.Get(k); !v.Empty() {
			made[0].props.Set(k, v.Clone())
		}
	}
	return made, nil
}

func (m *macro) planOf(name string, attrs, apis, stages, keys *Node, stage *generated) []*generated {
	add := func(list, n *Node) {
		if !contains(list, n) {
			list.Add(n)
		}
	}
	add(apis, tree.Str(m.id))
	add(stages, tree.M("ApiId", ref(m.id), "Stage", ref(stage.id)))
	add(keys, tree.M("RestApiId", ref(m.id), "StageName", ref(stage.id)))
	make := func(suffix, typ string, depends, props *Node) *generated {
		return &generated{id: name + suffix, typ: "AWS::ApiGateway::" + typ, depends: depends, attrs: attrs.Clone(), props: props}
	}
	plan := make("UsagePlan", "UsagePlan", apis.Clone(), tree.M("ApiStages", stages.Clone()))
	key := make("ApiKey", "ApiKey", tree.Strs(plan.id), tree.M("Enabled", true, "StageKeys", keys.Clone()))
	link := make("UsagePlanKey", "UsagePlanKey", tree.Strs(key.id), tree.M("KeyId", ref(key.id), "KeyType", "API_KEY", "UsagePlanId", ref(plan.id)))
	return []*generated{plan, key, link}
}

func (m *macro) planOfAll(stage *generated) ([]*generated, error) {
	s := &m.t.plan
	if s.apis == nil {
		s.apis, s.stages, s.keys = tree.L(), tree.L(), tree.L()
	}
	attrs, err := m.sharedAttrs()
	if err != nil {
		return nil, err
	}
	return m.planOf("Serverless", attrs, s.apis, s.stages, s.keys, stage), nil
}

// sharedAttrs combines the attributes of the APIs so far: the strongest policies, and a condition
// that holds when that of any of them does.
func (m *macro) sharedAttrs() (*Node, error) {
	s := &m.t.plan
	own := m.attrs()
	if p := own.Get("DeletionPolicy"); p.Is(tree.String) && (s.deletion == "" || p.Text == "Retain") {
		s.deletion = p.Text
	}
	if p := own.Get("UpdateReplacePolicy"); p.Is(tree.String) {
		if s.replace == "" || p.Text == "Retain" || p.Text == "Snapshot" && s.replace == "Delete" {
			s.replace = p.Text
		}
	}
	c := own.Get("Condition")
	switch {
	case s.unconditional:
	case !c.Is(tree.String):
		s.unconditional = true
		m.t.out.Get("Conditions").Delete(sharedCondition)
	case !in(s.conditions, c.Text):
		if !m.t.out.Has("Conditions") {
			return nil, m.errorf(c, "Can't have condition without having 'Conditions' section in the template")
		}
		s.conditions = append(s.conditions, c.Text)
		def := tree.Str(c.Text)
		if len(s.conditions) > 1 {
			or := tree.L()
			for _, name := range s.conditions {
				or.Add(tree.M("Condition", name))
			}
			def = tree.M("Fn::Or", or)
		}
		m.t.addCondition(sharedCondition, def)
	}
	out := tree.M()
	if s.deletion != "" {
		out.Set("DeletionPolicy", tree.Str(s.deletion))
	}
	if s.replace != "" {
		out.Set("UpdateReplacePolicy", tree.Str(s.replace))
	}
	if len(s.conditions) > 0 && !s.unconditional {
		out.Set("Condition", tree.Str(sharedCondition))
	}
	return out, nil
}
