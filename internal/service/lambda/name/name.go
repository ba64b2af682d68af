// Package name reads the ways in which Lambda lets a caller name a function or a layer:
//
//	hello                                                    the caller's account and region
//	hello:PROD                                               with a qualifier
//	123456789012:function:hello                              another account
//	arn:aws:lambda:eu-west-1:123456789012:function:hello:7   all of it
//
// Source: AWS Lambda API Reference, Invoke, "FunctionName".
package name

import (
	"fmt"
	"strings"
)

// Latest is the qualifier of the version that can be changed.
const Latest = "$LATEST"

// MaxLength is the longest name of a function.
const MaxLength = 64

// Function is a function as it was named. Region, Account and Qualifier are empty where the name
// did not give them.
type Function struct {
	Region, Account, Name, Qualifier string
}

// ParseFunction reads a function's name in any of its forms.
func ParseFunction(s string) (Function, error) {
	if len(s) > 256 {
		return Function{}, noFunction(s)
	}
	var f Function
	rest := strings.Split(s, ":")
	if rest[0] == "arn" {
		if len(rest) < 7 || !strings.HasPrefix(rest[1], "aws") || rest[2] != "lambda" || rest[5] != "function" {
			return Function{}, noFunction(s)
		}
		f.Region, f.Account, rest = rest[3], rest[4], rest[6:]
		if !Region(f.Region) || !Account(f.Account) {
			return Function{}, noFunction(s)
		}
	} else if rest, f = partial(rest); rest == nil {
		return Function{}, noFunction(s)
	}
	if len(rest) > 2 || !word(rest[0], MaxLength, "-_") {
		return Function{}, noFunction(s)
	}
	f.Name = rest[0]
	if len(rest) == 2 {
		if !Qualifier(rest[1]) {
			return Function{}, noFunction(s)
		}
		f.Qualifier = rest[1]
	}
	return f, nil
}

func noFunction(s string) error { return fmt.Errorf("%.300q names no function", s) }

// partial takes what may precede a name that is no full ARN: region, account, the word function.
func partial(parts []string) ([]string, Function) {
	var f Function
	if len(parts) > 1 && Region(parts[0]) && (Account(parts[1]) || parts[1] == "function") {
		f.Region, parts = parts[0], parts[1:]
	}
	if len(parts) > 1 && Account(parts[0]) && parts[1] == "function" {
		f.Account, parts = parts[0], parts[1:]
	}
	if parts[0] == "function" && len(parts) > 1 {
		parts = parts[1:]
	} else if f.Region != "" || f.Account != "" {
		return nil, f
	}
	return parts, f
}

// Layer is a layer, or with a Version above 0 one of its versions.
type Layer struct {
	Region, Account, Name string
	Version               int64
}

// ParseLayer reads a layer's name, its ARN or the ARN of a version.
func ParseLayer(s string) (Layer, error) {
	bad := fmt.Errorf("%q names no layer", s)
	if !strings.HasPrefix(s, "arn:") {
		if !word(s, 140, "-_") {
			return Layer{}, bad
		}
		return Layer{Name: s}, nil
	}
	p := strings.Split(s, ":")
	if len(p) < 7 || len(p) > 8 || p[2] != "lambda" || p[5] != "layer" || !Region(p[3]) || !Account(p[4]) || !word(p[6], 140, "-_") {
		return Layer{}, bad
	}
	l := Layer{Region: p[3], Account: p[4], Name: p[6]}
	if len(p) == 8 {
		n, ok := Number(p[7])
		if !ok {
			return Layer{}, bad
		}
		l.Version = n
	}
	return l, nil
}

// Number reads a version's number: decimal, without leading zeros, from 1.
func Number(s string) (int64, bool) {
	if s == "" || len(s) > 15 || s[0] == '0' {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// Alias reports whether s may name an alias: a word that is no number.
func Alias(s string) bool {
	if !word(s, 128, "-_") {
		return false
	}
	return strings.TrimLeft(s, "0123456789") != ""
}

// Qualifier reports whether s may stand behind a function's name: $LATEST, a version or an alias.
func Qualifier(s string) bool { return s == Latest || word(s, 128, "-_") }

// Account reports whether s is an account's 12 digits.
func Account(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// Region reports whether s looks like a region: eu-west-1, us-gov-east-1. Any such name works.
func Region(s string) bool {
	p := strings.Split(s, "-")
	if len(s) > 32 || len(p) < 3 || len(p[0]) != 2 {
		return false
	}
	for _, w := range p[:len(p)-1] {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	last := p[len(p)-1]
	return len(last) == 1 && last[0] >= '0' && last[0] <= '9'
}

func word(s string, most int, more string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(more, c) >= 0) {
			return false
		}
	}
	return true
}
