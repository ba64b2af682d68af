// Package stacks shows through the real binary that deployments survive their server: it is killed
// in the middle of creating, updating and deleting, again and again, and in the end there is what the
// templates say, once, and nothing else.
package stacks
