// Package cli tells the stories of the commands, as scripts (testdata/*.txt) over the real binary:
// what each prints, in text and JSON, and what an error tells to do next.
package cli
