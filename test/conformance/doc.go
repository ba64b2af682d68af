// Package conformance holds the stories that show every operation to work: each service is driven
// by boto3 (boto3/SERVICE.py), by aws-sdk-go-v2 and by the aws CLI against the real binary, and the
// audit trail then tells whether an operation was left out.
package conformance
