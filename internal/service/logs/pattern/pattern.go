// Package pattern is CloudWatch Logs' filter patterns: which lines a FilterLogEvents gives.
//
//	ERROR timeout            both words
//	"not found" -debug       the phrase, without the word debug
//	?ERROR ?WARN             either
//	{ $.level = "error" && $.ms > 100 }
//
// Words match anywhere in a line and with regard to case. Patterns over space-delimited fields
// ([ip, user, …]) and regular expressions (%…%) are refused as not built. Source: CloudWatch Logs
// User Guide, "Filter pattern syntax".
package pattern

import (
	"errors"
	"strings"
)

// maxPattern is AWS's limit, in bytes.
const maxPattern = 1024

// Compile reads a pattern; the empty one chooses every line.
func Compile(src string) (func(line string) bool, error) {
	if len(src) > maxPattern {
		return nil, errors.New("longer than 1024 characters")
	}
	s := strings.TrimSpace(src)
	switch {
	case s == "":
		return func(string) bool { return true }, nil
	case s[0] == '{':
		return compileJSON(s)
	case s[0] == '[':
		return nil, errors.New("patterns over space-delimited fields are not built in this version of Bastide")
	case s[0] == '%':
		return nil, errors.New("regular expressions are not built in this version of Bastide")
	}
	return compileWords(s)
}

// words are what a line must hold, must not hold, and of which it must hold one.
type words struct{ all, none, any []string }

func compileWords(s string) (func(string) bool, error) {
	var w words
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		to := &w.all
		switch s[0] {
		case '-':
			to, s = &w.none, s[1:]
		case '?':
			to, s = &w.any, s[1:]
		}
		word, rest, err := next(s)
		if err != nil {
			return nil, err
		}
		*to = append(*to, word)
		s = rest
	}
	return w.match, nil
}

// next takes one word or quoted phrase off s.
func next(s string) (word, rest string, err error) {
	if s == "" {
		return "", "", errors.New("a sign without a word")
	}
	if s[0] != '"' {
		i := strings.IndexAny(s, " \t\"")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", errors.New("a quotation mark is missing")
}

func (w words) match(line string) bool {
	for _, s := range w.none {
		if strings.Contains(line, s) {
			return false
		}
	}
	for _, s := range w.all {
		if !strings.Contains(line, s) {
			return false
		}
	}
	for _, s := range w.any {
		if strings.Contains(line, s) {
			return true
		}
	}
	return len(w.any) == 0
}
