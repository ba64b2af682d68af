package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Hidden stands in a record where a secret was, as it does in CloudTrail.
const Hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// MaxParameters bounds request parameters and response elements, in bytes of JSON; larger ones are
// left out, with a note of their size. CloudTrail's own bound is 100 KB.
const MaxParameters = 16 << 10

// Parameters makes the request parameters or response elements of a record from v, anything that
// encodes as JSON. The members at the paths in sensitive, those that the service's model marks, are
// hidden; a path is member names joined by dots, with "*" for every element or member:
// "SecretString", "Environment.Variables.*". Beyond those, members whose names say that they hold a
// credential are hidden at any depth, since a model may forget to mark one.
func Parameters(v any, sensitive []string) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("audit: parameters: %w", err)
	}
	if string(raw) == "null" {
		return nil, nil
	}
	if len(sensitive) == 0 && !mayHoldCredential(raw) {
		return capped(raw), nil
	}
	if len(raw) > 64*MaxParameters {
		return capped(raw), nil // not worth walking: it will not be shown
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // numbers as they were written
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("audit: parameters: %w", err)
	}
	for _, path := range sensitive {
		tree = hide(tree, strings.Split(path, "."))
	}
	hideCredentials(tree)
	if raw, err = json.Marshal(tree); err != nil {
		return nil, fmt.Errorf("audit: parameters: %w", err)
	}
	return capped(raw), nil
}

func capped(raw []byte) json.RawMessage {
	if len(raw) <= MaxParameters {
		return raw
	}
	return fmt.Appendf(nil, `{"omitted":"larger than %d bytes","bytes":%d}`, MaxParameters, len(raw))
}

func hide(tree any, path []string) any {
	if len(path) == 0 {
		if tree == nil {
			return nil
		}
		return Hidden
	}
	switch t := tree.(type) {
	case map[string]any:
		for name, v := range t {
			if path[0] == "*" || strings.EqualFold(name, path[0]) {
				t[name] = hide(v, path[1:])
			}
		}
	case []any:
		rest := path
		if path[0] == "*" {
			rest = path[1:]
		}
		for i, v := range t {
			t[i] = hide(v, rest)
		}
	}
	return tree
}

// credentialNames are member names, in lower case, that hold a credential in whatever shape they
// stand in.
var credentialNames = map[string]bool{
	"password": true, "newpassword": true, "oldpassword": true, "masteruserpassword": true, "passphrase": true,
	"secretstring": true, "secretbinary": true, "secretaccesskey": true, "secretkey": true, "clientsecret": true,
	"sessiontoken": true, "securitytoken": true, "x-amz-security-token": true, "accesstoken": true, "refreshtoken": true,
	"idtoken": true, "authorization": true, "x-amz-signature": true, "privatekey": true, "plaintext": true,
	"ciphertextblob": true, "samlassertion": true, "webidentitytoken": true, "authparameters": true,
}

func hideCredentials(tree any) {
	switch t := tree.(type) {
	case map[string]any:
		for name, v := range t {
			if credentialNames[strings.ToLower(name)] && v != nil {
				t[name] = Hidden
				continue
			}
			hideCredentials(v)
		}
	case []any:
		for _, v := range t {
			hideCredentials(v)
		}
	}
}

// mayHoldCredential looks for the fragments that every credential name has, to spare most
// parameters the walk.
func mayHoldCredential(raw []byte) bool {
	low := bytes.ToLower(raw)
	for _, part := range []string{"pass", "secret", "token", "auth", "signature", "private", "plaintext", "ciphertext", "saml"} {
		if bytes.Contains(low, []byte(part)) {
			return true
		}
	}
	return false
}
