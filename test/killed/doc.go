// Package killed holds that a killed Bastide leaves nothing of its functions on the machine: whatever
// isolates them, their processes, cgroups, mounts and files are gone at the latest when it has started
// again.
package killed
