package deploy

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// Stack is what a run has to know of its stack.
type Stack struct {
	ID, Name, Account, Region string
	Tags                      map[string]string
}

const (
	nameLimit  = 64 // the least that a named resource here may have
	nameSuffix = 12
)

// digest depends on the stack, the resource and the operation that makes it, and on nothing else:
// an attempt that is made again finds the names and tokens of the first, a replacement has others.
func (s Stack) digest(logicalID, operation string) [sha256.Size]byte {
	return sha256.Sum256([]byte(s.ID + "\n" + logicalID + "\n" + operation))
}

// name is STACK-LogicalId-SUFFIX12, as CloudFormation names what a template leaves unnamed. Where
// it is too long the stack's name and the logical id are cut to about the same length.
func (s Stack) name(k kind, logicalID, operation string) string {
	sum := s.digest(logicalID, operation)
	suffix := base32.StdEncoding.EncodeToString(sum[:])[:nameSuffix]
	limit := k.NameLimit
	if limit == 0 {
		limit = nameLimit
	}
	room := max(limit-nameSuffix-2, 2)
	stack, id := s.Name, logicalID
	if len(stack)+len(id) > room {
		id = id[:min(len(id), max(room/2, room-len(stack)))]
		stack = stack[:min(len(stack), room-len(id))]
	}
	out := strings.TrimRight(stack, "-") + "-" + id + "-" + suffix
	if k.NameLower {
		out = strings.ToLower(out)
	}
	return out
}

func (s Stack) token(logicalID, operation string) string {
	sum := s.digest(logicalID, operation+"\ntoken")
	return hex.EncodeToString(sum[:16])
}
