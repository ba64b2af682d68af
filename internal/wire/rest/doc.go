// Package rest reads and writes those members that rest protocols keep out of the document: in
// the path, the query string, headers and the status.
package rest
