package fleet

import "testing"

// BenchmarkWarm is an invocation of 1 KB on an instance that rests, without the door in front.
func BenchmarkWarm(b *testing.B) {
	l := newLab(b)
	body := `{"text":"` + string(make1k()) + `"}`
	for name, fn := range map[string]Function{
		"node":   l.function(l.node, "node", "exports.handler = async (e) => e"),
		"python": l.function(l.py, "python", "def handler(e, c):\n    return e\n"),
	} {
		b.Run(name, func(b *testing.B) {
			l.invoke(fn, body)
			for b.Loop() {
				if out := l.invoke(fn, body); out.FunctionError != "" {
					b.Fatal(string(out.Payload))
				}
			}
		})
	}
}

func make1k() []byte {
	b := make([]byte, 1000)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// BenchmarkCold is from nothing to the answer: sandbox, runtime, handler.
func BenchmarkCold(b *testing.B) {
	l := newLab(b)
	for name, fn := range map[string]Function{
		"node":   l.function(l.node, "node", "exports.handler = async (e) => e"),
		"python": l.function(l.py, "python", "def handler(e, c):\n    return e\n"),
	} {
		b.Run(name, func(b *testing.B) {
			l.invoke(fn, `1`)
			for b.Loop() {
				l.Retire(fn.ARN)
				if out := l.invoke(fn, `1`); !out.Cold {
					b.Fatal("it was warm")
				}
			}
		})
	}
}
