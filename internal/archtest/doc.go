// Package archtest is the house rules as a test: which room may import which, who may open a
// socket or start a process, how long a function may be. It parses every Go file of the module,
// test files and files behind build tags too; it has no code that ships.
package archtest
