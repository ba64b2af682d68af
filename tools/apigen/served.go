package main

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// served is what served.txt asks for.
type served struct {
	services []*service // in the file's order of first mention
	byName   map[string]*service
}

// service is one service's part of served.txt.
type service struct {
	name  string
	ops   []string
	raw   map[string]bool   // shapes that stay undecoded JSON
	root  map[string]string // operation → root element of its XML result
	text  map[string]bool   // "Shape.Member" that is the text of its root element
	xmlns string            // namespace of XML results where the model has none
}

// parseServed reads served.txt. Lines are
//
//	SERVICE OPERATION [OPERATION …]
//	raw   SERVICE SHAPE [SHAPE …]      keep the shape as undecoded JSON (wire.RawJSON)
//	root  SERVICE OPERATION ELEMENT    root element of the operation's XML result
//	text  SERVICE SHAPE MEMBER         the member is the text of the result's root element
//	xmlns SERVICE URI                  namespace of XML results where the model names none
//
// # starts a comment.
func parseServed(b []byte) (*served, error) {
	s := &served{byName: map[string]*service{}}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := s.line(f); err != nil {
			return nil, fmt.Errorf("served.txt:%d: %w", n, err)
		}
	}
	return s, sc.Err()
}

func (s *served) line(f []string) error {
	if len(f) < 2 {
		return fmt.Errorf("%q has too few words", f)
	}
	switch f[0] {
	case "raw":
		for _, sh := range f[2:] {
			s.of(f[1]).raw[sh] = true
		}
	case "root", "text":
		if len(f) != 4 {
			return fmt.Errorf("%s takes three words", f[0])
		}
		if f[0] == "root" {
			s.of(f[1]).root[f[2]] = f[3]
		} else {
			s.of(f[1]).text[f[2]+"."+f[3]] = true
		}
	case "xmlns":
		if len(f) != 3 {
			return fmt.Errorf("xmlns takes two words")
		}
		s.of(f[1]).xmlns = f[2]
	default:
		svc := s.of(f[0])
		for _, op := range f[1:] {
			if slices.Contains(svc.ops, op) {
				return fmt.Errorf("%s %s is listed twice", f[0], op)
			}
			svc.ops = append(svc.ops, op)
		}
	}
	return nil
}

func (s *served) of(name string) *service {
	if svc := s.byName[name]; svc != nil {
		return svc
	}
	svc := &service{name: name, raw: map[string]bool{}, root: map[string]string{}, text: map[string]bool{}}
	s.byName[name] = svc
	s.services = append(s.services, svc)
	return svc
}
