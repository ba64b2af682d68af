// Package seccomp writes the filter of system calls under which every function runs.
//
// The filter is an allow-list. A call that is not on it fails with EPERM, one that is newer than the
// list with ENOSYS, so that a C library falls back to an older one; a call of another architecture's
// table ends the process. The program is a binary tree over ranges of call numbers, since the kernel
// walks it once for every number when it is loaded, and that is part of every cold start.
package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// test compares one argument's low 32 bits, under a mask (0: all bits), with a value.
type test struct {
	arg   int
	mask  uint32
	value uint32
}

// match is a conjunction of tests.
type match []test

// rule is a call that depends on its arguments: either allowed when one of allow matches, or, when
// allow is empty and refuse is not, refused when one of refuse matches. Otherwise deny answers; a deny of 0 has
// the call succeed without being made.
type rule struct {
	nr     uintptr
	allow  []match
	refuse []match
	deny   unix.Errno
}

// Offsets in struct seccomp_data, little endian as both architectures are.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// Values of the kernel's filters: load a word, jump, mask, return.
const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opJump  = unix.BPF_JMP | unix.BPF_JA
	opAnd   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opRet   = unix.BPF_RET | unix.BPF_K
)

// Filter is the program, eight bytes an instruction in this machine's byte order.
func Filter() []byte { return encode(assemble(nil)) }

// Nursery is the program of a process that waits to be forked: besides what Filter allows, its forks may
// enter namespaces, and take a cgroup namespace and a session keyring of their own. They load Filter then,
// of which nothing can be taken back.
func Nursery() []byte { return encode(assemble(nursery)) }

var nursery = []rule{
	{nr: unix.SYS_SETNS, deny: unix.EPERM, refuse: []match{{{arg: 1, value: 0}}}},
	{nr: unix.SYS_UNSHARE, deny: unix.EPERM, allow: []match{{{arg: 0, value: unix.CLONE_NEWCGROUP}}}},
	{nr: unix.SYS_KEYCTL, deny: unix.EPERM, allow: []match{{{arg: 0, value: unix.KEYCTL_JOIN_SESSION_KEYRING}}}},
}

func encode(program []unix.SockFilter) []byte {
	b := []byte{}
	for _, in := range program {
		b = binary.NativeEndian.AppendUint16(b, in.Code)
		b = append(b, in.Jt, in.Jf)
		b = binary.NativeEndian.AppendUint32(b, in.K)
	}
	return b
}

func ret(action uint32) []unix.SockFilter {
	return []unix.SockFilter{{Code: opRet, K: action}}
}

func errno(e unix.Errno) []unix.SockFilter {
	return ret(unix.SECCOMP_RET_ERRNO | uint32(e))
}

func assemble(more []rule) []unix.SockFilter {
	p := []unix.SockFilter{
		{Code: opLoad, K: offArch},
		{Code: opEqual, Jt: 1, K: auditArch},
		{Code: opRet, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: opLoad, K: offNumber},
	}
	if foreignABI != 0 {
		p = append(p, unix.SockFilter{Code: opLeast, Jf: 1, K: foreignABI})
		p = append(p, errno(unix.ENOSYS)...)
	}
	return append(p, tree(spans(more))...)
}

// span is a range of numbers, from first up to the next span's first, with one outcome.
type span struct {
	first uint32
	code  []unix.SockFilter
	plain bool // code is a bare return, which neighbours may share
}

// spans cuts the numbers into ranges.
func spans(more []rule) []span {
	outcome := map[uint32]span{}
	top := uint32(0)
	for _, list := range [][]uintptr{allowed, legacy} {
		for _, nr := range list {
			outcome[uint32(nr)] = span{code: ret(unix.SECCOMP_RET_ALLOW), plain: true}
			top = max(top, uint32(nr))
		}
	}
	for _, r := range slices.Concat(conditional, more) {
		outcome[uint32(r.nr)] = span{code: r.code()}
		top = max(top, uint32(r.nr))
	}
	var out []span
	for nr := range top + 1 {
		s, ok := outcome[nr]
		if !ok {
			s = span{code: errno(unix.EPERM), plain: true}
		}
		s.first = nr
		if n := len(out); n > 0 && out[n-1].plain && s.plain && slices.Equal(out[n-1].code, s.code) {
			continue
		}
		out = append(out, s)
	}
	return append(out, span{first: top + 1, code: errno(unix.ENOSYS), plain: true})
}

// tree decides between spans by halving; the number is in the accumulator.
func tree(s []span) []unix.SockFilter {
	if len(s) == 1 {
		return s[0].code
	}
	low, high := tree(s[:len(s)/2]), tree(s[len(s)/2:])
	p := []unix.SockFilter{
		// a conditional jump reaches 255 instructions only, an unconditional one any number
		{Code: opLeast, Jf: 1, K: s[len(s)/2].first},
		{Code: opJump, K: uint32(len(low))},
	}
	return append(append(p, low...), high...)
}

// code is the rule as instructions that always return.
func (r rule) code() []unix.SockFilter {
	list, hit, miss := r.allow, ret(unix.SECCOMP_RET_ALLOW), errno(r.deny)
	if len(r.allow) == 0 && len(r.refuse) > 0 {
		list, hit, miss = r.refuse, errno(r.deny), ret(unix.SECCOMP_RET_ALLOW)
	}
	var p []unix.SockFilter
	for _, m := range list {
		p = append(p, m.code(hit)...)
	}
	return append(p, miss...)
}

// code tests in order; a failing test jumps behind hit.
func (m match) code(hit []unix.SockFilter) []unix.SockFilter {
	p := hit
	for _, t := range slices.Backward(m) {
		head := []unix.SockFilter{{Code: opLoad, K: offArgs + 8*uint32(t.arg)}}
		if t.mask != 0 {
			head = append(head, unix.SockFilter{Code: opAnd, K: t.mask})
		}
		head = append(head, unix.SockFilter{Code: opEqual, Jf: uint8(len(p)), K: t.value})
		p = append(head, p...)
	}
	return p
}
