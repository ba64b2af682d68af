package iam

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// managed.json is the AWS-managed policies that public templates name, as AWS publishes them.
//
//go:embed managed.json
var managedJSON []byte

type awsPolicy struct {
	Name, Path, Version string
	Document            json.RawMessage
}

func loadManaged() (map[string]awsPolicy, error) {
	var list []awsPolicy
	if err := json.Unmarshal(managedJSON, &list); err != nil {
		return nil, fmt.Errorf("iam: managed.json: %w", err)
	}
	out := make(map[string]awsPolicy, len(list))
	for _, p := range list {
		out[p.arn()] = p
	}
	return out, nil
}

func (p awsPolicy) arn() string { return "arn:aws:iam::aws:policy" + p.Path + p.Name }

// managed is the policy in the form of a customer's, so that one code answers for both.
func (p awsPolicy) managed() managed {
	born := time.Date(2015, 2, 6, 0, 0, 0, 0, time.UTC)
	return managed{Account: "aws", Name: p.Name, Path: p.Path, ID: "ANPA" + upper(p.Name), Created: born, Updated: born,
		Versions: []version{{p.Version, string(p.Document), born}}, Default: p.Version}
}

// upper makes a stable id of a name in the alphabet of unique ids.
func upper(name string) string {
	id := strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return r
	}, name)) + "AAAAAAAAAAAAAAAAA"
	return id[:17]
}

func (s *Service) awsSorted() []awsPolicy {
	out := make([]awsPolicy, 0, len(s.aws))
	for _, p := range s.aws {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b awsPolicy) int { return order(a.arn(), b.arn()) })
	return out
}
