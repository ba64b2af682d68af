package fleet

import "syscall"

// signalName is a signal in the words of a Go runtime, as Lambda has it: "killed", "segmentation
// fault".
func signalName(n int) string { return syscall.Signal(n).String() }
