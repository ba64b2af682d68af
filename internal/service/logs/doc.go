// Package logs is CloudWatch Logs: groups, streams and the events in them, where functions' output
// goes.
//
// What it promises of AWS: groups with retention and tags, streams, PutLogEvents with its checks
// of order, age and size, GetLogEvents, and FilterLogEvents with filter patterns over text, JSON
// and space-delimited lines. Events live in a file of their own: a power cut may lose the last
// second of them. KMS keys, metric filters, subscriptions, Insights queries and data protection with
// its unmask answer NotImplemented.
package logs
