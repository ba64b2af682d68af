// Package app is the one wiring: it opens the data directory, makes every room and joins them,
// holds the one list of services, and runs the server and the commands.
package app
