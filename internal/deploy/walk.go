package deploy

import "context"

// walk does every one of ids after all that it must come after, at most limit at a time. do reports
// whether it succeeded; what comes after one that failed is left out. With stop, nothing new begins
// after a failure. An error ends the walk once the steps that have begun have ended.
func walk(ctx context.Context, ids []string, after map[string][]string, limit int, stop bool, do func(context.Context, string) (bool, error)) error {
	type result struct {
		id  string
		ok  bool
		err error
	}
	waiting := make(map[string]int, len(ids)) // id → how many it waits for
	then := map[string][]string{}
	in := make(map[string]bool, len(ids))
	for _, id := range ids {
		in[id] = true
	}
	var ready []string
	for _, id := range ids {
		for _, before := range after[id] {
			if in[before] && before != id {
				waiting[id]++
				then[before] = append(then[before], id)
			}
		}
		if waiting[id] == 0 {
			ready = append(ready, id)
		}
	}
	results := make(chan result)
	running, halted := 0, false
	var failure error
	for {
		for len(ready) > 0 && running < limit && !halted && ctx.Err() == nil {
			id := ready[0]
			ready = ready[1:]
			running++
			go func() {
				ok, err := do(ctx, id)
				results <- result{id, ok, err}
			}()
		}
		if running == 0 {
			break
		}
		r := <-results
		running--
		switch {
		case r.err != nil:
			if failure == nil {
				failure = r.err
			}
			halted = true
		case !r.ok:
			halted = halted || stop
		default:
			for _, id := range then[r.id] {
				if waiting[id]--; waiting[id] == 0 {
					ready = append(ready, id)
				}
			}
		}
	}
	if failure == nil {
		failure = ctx.Err()
	}
	return failure
}
