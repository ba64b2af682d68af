// Package arn reads and writes Amazon Resource Names, the names that policies, records and
// answers use for every resource:
//
//	arn:aws:lambda:eu-west-1:123456789012:function:hello
//
// Source: AWS General Reference, "Amazon Resource Names (ARNs)".
package arn

import (
	"fmt"
	"strings"
)

// ARN is one resource name in its six parts. Resource keeps its own separators ("function:hello",
// "role/path/name").
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// New names a resource in the standard partition.
func New(service, region, account, resource string) ARN {
	return ARN{Partition: "aws", Service: service, Region: region, Account: account, Resource: resource}
}

// Parse reads s, which must have six parts divided by colons; the last may hold more colons.
func Parse(s string) (ARN, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return ARN{}, fmt.Errorf("arn: %q is not arn:partition:service:region:account:resource", clip(s))
	}
	return ARN{p[1], p[2], p[3], p[4], p[5]}, nil
}

// String writes the name; the zero ARN is the empty string.
func (a ARN) String() string {
	if a == (ARN{}) {
		return ""
	}
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Last is the resource's own name: what follows the last slash or colon of the resource part.
func (a ARN) Last() string {
	if i := strings.LastIndexAny(a.Resource, "/:"); i >= 0 {
		return a.Resource[i+1:]
	}
	return a.Resource
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
