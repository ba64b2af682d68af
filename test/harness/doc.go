// Package harness runs the real binary for the tests that show Bastide to work: it builds it,
// starts `bastide serve` on a directory and a port of its own, hands out clients of every kind
// (the aws CLI, boto3, aws-sdk-go-v2, hand-signed requests), kills, stops and restarts it, and
// prints what the server logged when a test has failed.
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
//	s := harness.Start(t)
//	s.AWS(t, "sts", "get-caller-identity")
package harness
