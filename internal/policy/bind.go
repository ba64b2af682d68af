package policy

import (
	"encoding/json"
	"strings"
)

// Bind is p's document with the users and roles of account that its Principal elements name by ARN
// named by their unique ids instead, so that whoever is made anew under such a name is somebody else.
// id finds the unique id of a user or role by its ARN; one that is not there is refused with an
// *Error. names has the ARN of each id put in, for Unbind. Accounts, sessions, services, everybody and
// other accounts' principals stay as they are written.
//
// Source: IAM User Guide, "AWS JSON policy elements: Principal".
func (p *Policy) Bind(account string, id func(arn string) (string, bool, error)) (text string, names map[string]string, err error) {
	text, err = rename(p.source, func(n *node) (string, error) {
		parts := strings.SplitN(n.text, ":", 6)
		if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[4] != account || parts[5] == "root" {
			return n.text, nil
		}
		unique, ok, err := id(n.text)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", faultAt(n.start, `Invalid principal in policy: "AWS":"`+clip(n.text)+`"`, "").in(p.source)
		}
		if names == nil {
			names = map[string]string{}
		}
		names[unique] = n.text
		return unique, nil
	})
	return text, names, err
}

// Unbind is a document that Bind made, as it is shown: with the ARN of every user and role that id
// still finds under it, and the bare unique id of one that is gone.
func Unbind(text string, names map[string]string, id func(arn string) (string, bool, error)) (string, error) {
	if len(names) == 0 {
		return text, nil
	}
	return rename(text, func(n *node) (string, error) {
		arn := names[n.text]
		if arn == "" {
			return n.text, nil
		}
		unique, ok, err := id(arn)
		if err == nil && ok && unique == n.text {
			return arn, nil
		}
		return n.text, err
	})
}

// rename writes every value under "AWS" of a document's Principal and NotPrincipal elements as to has
// it, and leaves every other byte alone.
func rename(src string, to func(*node) (string, error)) (string, error) {
	root, f := readJSON(src, maxDepth)
	if f != nil {
		return "", f.in(src)
	}
	var b strings.Builder
	at := 0
	for _, n := range principalsIn(root) {
		name, err := to(n)
		if err != nil {
			return "", err
		}
		if name == n.text {
			continue
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return "", err
		}
		b.WriteString(src[at:n.start])
		b.Write(quoted)
		at = n.end
	}
	b.WriteString(src[at:])
	return b.String(), nil
}

// principalsIn are those values, in the order of the document.
func principalsIn(root *node) []*node {
	var out []*node
	for _, statement := range under(root, "Statement") {
		for _, e := range statement.fields {
			if e.key == "Principal" || e.key == "NotPrincipal" {
				out = append(out, under(e.value, "AWS")...)
			}
		}
	}
	return out
}

// under is what stands under a key of an object: the elements of a list, or the one value.
func under(n *node, key string) []*node {
	for _, e := range n.fields {
		switch {
		case e.key != key:
		case e.value.kind == jsonArray:
			return e.value.items
		default:
			return []*node{e.value}
		}
	}
	return nil
}
