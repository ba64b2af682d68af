// Package bastide is Bastide's own service: the state of the server, the audit trail and its
// proof, why a request was refused, which application routes stand open, backups and resets. Its
// operations are signed, authorised and recorded like any other; the action of each is
// bastide:NAME on the resource arn:aws:bastide:::*.
package bastide
