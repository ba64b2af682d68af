// Package item is DynamoDB's data: an Item is a set of named attribute values, and a Value is one
// of the ten kinds that DynamoDB knows (S, N, B, SS, NS, BS, M, L, BOOL, NULL).
//
//	it, err := item.ParseItem(`{"id":{"S":"a"},"n":{"N":"1.50"}}`)
//	it.Get("n").Text()          // "1.5": numbers are kept in DynamoDB's canonical form
//	it.Size()                   // 8 bytes, by DynamoDB's own rules
//	key := item.AppendKey(nil, it.Get("n")) // bytes that sort as numbers do
//
// Values are immutable: nothing in this package changes a value that it was given, so that items
// may share parts. What is stored is the binary form (AppendBinary), what travels is DynamoDB's
// JSON (AppendJSON, ParseItem); neither uses reflection.
//
// Sources: Amazon DynamoDB Developer Guide, "Naming rules and data types", "Item sizes and
// formats", "Quotas"; messages are worded as the service words them, because clients parse them.
package item
