// Package xml reads and writes XML documents for the types that package plan knows, in the way
// of AWS's query and rest-xml protocols: lists are wrapped elements named "member" unless the
// model says otherwise or flattens them, maps are entries of key and value.
//
// A document is read into a tree first, within Limits; entities other than XML's own five do not
// exist, so that nothing expands.
package xml
