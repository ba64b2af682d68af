// Package outgoing shows that nothing leaves a function but by a declared way, and that every such
// connection is recorded before a byte is sent.
package outgoing
