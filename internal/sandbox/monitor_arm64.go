package sandbox

// legacyOpening: this architecture has no older calls.
func legacyOpening(*notification) (flags uint64, known bool) { return 0, false }

// legacyChanges: this architecture has no older calls.
var legacyChanges = map[uintptr][]operand{}
