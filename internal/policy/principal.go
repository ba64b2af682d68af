package policy

import (
	"slices"
	"strings"
)

// grant is how closely a Principal element names the caller; it decides which other policies a
// resource policy's Allow still needs.
type grant uint8

const (
	grantNone    grant = iota
	grantAccount       // the caller's account: its identity policies decide
	grantRole          // the role, or the user who federated: boundary and session still limit
	grantDirect        // the caller itself, or everybody
)

// principalSet is a compiled Principal or NotPrincipal element.
type principalSet struct {
	not       bool
	everyone  bool
	accounts  []string
	arns      []string
	ids       []string // AIDA…, AROA…: a user or role that the document named and that is gone
	services  []string
	federated []string
	canonical []string
}

// grants says how a Principal element names p.
func (s *principalSet) grants(p *Principal) grant {
	if s.everyone {
		return grantDirect
	}
	switch p.Type {
	case Service:
		return directIf(slices.Contains(s.services, p.Service) || slices.Contains(s.services, "*"))
	case WebIdentity, SAML:
		return directIf(p.Provider != "" && slices.Contains(s.federated, p.Provider))
	case User, AssumedRole, FederatedUser, Root:
	default:
		return grantNone
	}
	switch {
	case s.hasSelf(p):
		return grantDirect
	case s.hasOrigin(p):
		return grantRole
	case s.hasAccount(p):
		return grantAccount
	}
	return grantNone
}

func directIf(ok bool) grant {
	if ok {
		return grantDirect
	}
	return grantNone
}

// hasSelf: the user, the role session or the federated session by its own ARN.
func (s *principalSet) hasSelf(p *Principal) bool {
	if p.Type == Root {
		return false // naming the root names the account
	}
	return p.ARN != "" && slices.Contains(s.arns, p.ARN) ||
		p.Type == User && p.UserID != "" && slices.Contains(s.ids, p.UserID)
}

// hasOrigin: the role behind a role session, the user behind a federated session.
func (s *principalSet) hasOrigin(p *Principal) bool {
	if p.Type != AssumedRole && p.Type != FederatedUser {
		return false
	}
	id, _, _ := strings.Cut(p.UserID, ":")
	return p.RoleARN != "" && slices.Contains(s.arns, p.RoleARN) ||
		p.Type == AssumedRole && id != "" && slices.Contains(s.ids, id)
}

func (s *principalSet) hasAccount(p *Principal) bool {
	return p.Account != "" && slices.Contains(s.accounts, p.Account) ||
		p.CanonicalUser != "" && slices.Contains(s.canonical, p.CanonicalUser)
}

// applies decides the element for p. A Deny with NotPrincipal spares only callers of whom every
// name is listed: the account and the user, or the account, the role and the session; with any of
// them missing AWS denies (IAM User Guide, "NotPrincipal with Deny"). An Allow with NotPrincipal
// reaches only callers of whom no name is listed.
func (s *principalSet) applies(p *Principal, allow bool) grant {
	if !s.not {
		return s.grants(p)
	}
	if s.everyone {
		return grantNone
	}
	if allow {
		return directIf(s.grants(p) == grantNone)
	}
	switch p.Type {
	case Service, WebIdentity, SAML:
		return directIf(s.grants(p) == grantNone)
	case Root:
		return directIf(!s.hasAccount(p))
	case User, FederatedUser:
		return directIf(!s.hasAccount(p) || !s.hasSelf(p))
	case AssumedRole:
		return directIf(!s.hasAccount(p) || !s.hasOrigin(p) || !s.hasSelf(p))
	}
	return grantDirect
}

// add files one value of a Principal element under its type.
func (s *principalSet) add(kind, v string) bool {
	if v == "" {
		return false
	}
	switch kind {
	case "AWS":
		return s.addAWS(v)
	case "Service":
		s.services = append(s.services, v)
		return v == "*" || strings.Contains(v, ".") && !strings.ContainsAny(v, "*?: ")
	case "Federated":
		s.federated = append(s.federated, v)
		return !strings.ContainsAny(v, "*? ")
	case "CanonicalUser":
		s.canonical = append(s.canonical, v)
		return !strings.ContainsAny(v, "*? ")
	}
	return false
}

func (s *principalSet) addAWS(v string) bool {
	switch {
	case v == "*":
		s.everyone = true
		return true
	case isAccount(v):
		s.accounts = append(s.accounts, v)
		return true
	case strings.HasPrefix(v, "arn:"):
		parts := strings.SplitN(v, ":", 6)
		if len(parts) != 6 || parts[2] != "iam" && parts[2] != "sts" || parts[4] == "" || parts[5] == "" {
			return false
		}
		if strings.ContainsAny(v, "*?") {
			return false // "You cannot use a wildcard to match part of a principal name or ARN"
		}
		if parts[2] == "iam" && parts[5] == "root" && isAccount(parts[4]) {
			s.accounts = append(s.accounts, parts[4])
			return true
		}
		s.arns = append(s.arns, v)
		return true
	case isUniqueID(v):
		s.ids = append(s.ids, v)
		return true
	}
	return false
}

func isAccount(s string) bool { return len(s) == 12 && allDigits(s) }

// isUniqueID knows the identifiers that IAM gives users and roles: AIDA or AROA and more capitals and
// digits.
func isUniqueID(s string) bool {
	if len(s) < 16 || !strings.HasPrefix(s, "AIDA") && !strings.HasPrefix(s, "AROA") {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) < 0
}
