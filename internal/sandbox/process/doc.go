// Package process runs functions without any isolation, for machines that have no namespaces and no
// gVisor: as processes of Bastide's own user, on the host's files and network. It is never chosen by
// itself: who wants it names it, and the log, the health page and every record say so.
//
// The contract is that of the other drivers but for what isolates. What a function would find inside is
// laid out in a directory of its own; paths and addresses in its arguments and environment are changed
// to where things are. So a function that goes by its environment (LAMBDA_TASK_ROOT, AWS_ENDPOINT_URL)
// works, and one that has paths such as /opt or /tmp in its code meets the host's. Its doors are on
// loopback, at ports that happened to be free; nothing takes it to them, or keeps it from anywhere else.
// Memory is bounded by looking and killing, or by a cgroup where there is one; processes and processor
// time by a cgroup alone; /tmp is not bounded.
package process
