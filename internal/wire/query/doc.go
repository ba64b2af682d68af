// Package query reads the parameters of AWS's query protocol into the types that package plan
// knows: members and list indexes are joined by dots (Tags.member.1.Key=stage).
package query
