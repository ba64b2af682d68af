package naive

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// lookup finds a condition key: the caller's own first.
func (r Request) lookup(key string) ([]string, bool) {
	key = strings.ToLower(key)
	own := map[string]string{"aws:principalisawsservice": strconv.FormatBool(r.Caller.Type == "Service")}
	c := r.Caller
	for _, k := range []string{"arn", "account", "type", "servicename"} {
		own["aws:principal"+k] = ""
	}
	own["aws:userid"], own["aws:username"] = c.ID, ""
	own["aws:principalarn"], own["aws:principalaccount"], own["aws:principalservicename"] = c.ARN, c.Account, c.Service
	switch c.Type {
	case "Root":
		own["aws:principaltype"], own["aws:userid"] = "Account", c.Account
	case "User":
		parts := strings.Split(c.ARN, "/")
		own["aws:principaltype"], own["aws:username"] = c.Type, parts[len(parts)-1]
	case "AssumedRole":
		own["aws:principaltype"], own["aws:principalarn"] = c.Type, c.Origin
	case "FederatedUser", "Anonymous":
		own["aws:principaltype"] = c.Type
	}
	if r.ResourceAccount != "" {
		own["aws:resourceaccount"] = r.ResourceAccount
	}
	if v, ok := own[key]; ok {
		return []string{v}, v != ""
	}
	if strings.HasPrefix(key, "aws:principaltag/") {
		var tags []string
		for k := range c.Tags {
			tags = append(tags, k)
		}
		sort.Strings(tags)
		for _, k := range tags {
			if "aws:principaltag/"+strings.ToLower(k) == key {
				return []string{c.Tags[k]}, true
			}
		}
		return nil, false
	}
	for k, v := range r.Keys {
		if strings.ToLower(k) == key && len(v) > 0 {
			return v, true
		}
	}
	return nil, false
}

func conditionsHold(r Request, st object, variables bool) bool {
	block, _ := st["Condition"].(object)
	for operator, keys := range block {
		for key, wanted := range keys.(object) {
			var values []string
			for _, w := range list(wanted) {
				values = append(values, fmt.Sprint(w))
			}
			if !holds(r, strings.ToLower(operator), key, values, variables) {
				return false
			}
		}
	}
	return true
}

func holds(r Request, operator, key string, wanted []string, variables bool) bool {
	got, present := r.lookup(key)
	if operator == "null" {
		for _, w := range wanted {
			if (strings.ToLower(w) == "true") != present {
				return true
			}
		}
		return false
	}
	base := strings.TrimSuffix(operator, "ifexists")
	if base != operator && !present {
		return true
	}
	quantifier, base := "", base
	if before, after, ok := strings.Cut(base, ":"); ok {
		quantifier, base = before, after
	}
	positive := strings.Replace(base, "not", "", 1)
	negated := positive != base
	matchesOne := func(v string) bool {
		for _, w := range wanted {
			if compare(r, positive, w, v, variables) {
				return true
			}
		}
		return false
	}
	nothing := !present || len(got) == 1 && got[0] == ""
	yes, no := 0, 0
	for _, v := range got {
		if matchesOne(v) {
			yes++
		} else {
			no++
		}
	}
	if !present {
		yes, no = 0, 0
	}
	switch {
	case quantifier == "forallvalues" && negated:
		return nothing || yes == 0
	case quantifier == "forallvalues":
		return nothing || no == 0
	case quantifier == "foranyvalue" && negated:
		return !nothing && no > 0
	case quantifier == "foranyvalue":
		return !nothing && yes > 0
	case negated:
		return yes == 0
	}
	return yes > 0
}

// compare decides a positive operator for one pair of values.
func compare(r Request, operator, wanted, got string, variables bool) bool {
	var look func(string) ([]string, bool)
	if variables {
		look = r.lookup
	}
	switch {
	case operator == "stringequals":
		v, ok := substitute(wanted, look)
		return ok && v == got
	case operator == "stringequalsignorecase":
		v, ok := substitute(wanted, look)
		return ok && strings.EqualFold(v, got)
	case operator == "stringlike":
		return matches(wanted, got, plain, look)
	case strings.HasPrefix(operator, "arn"):
		return strings.HasPrefix(got, "arn:") && matches(wanted, got, arn, look)
	case operator == "bool":
		return strings.ToLower(wanted) == strings.ToLower(got)
	case operator == "binaryequals":
		w, err1 := base64.StdEncoding.DecodeString(wanted)
		g, err2 := base64.StdEncoding.Strict().DecodeString(got)
		return err1 == nil && err2 == nil && string(w) == string(g) && !strings.ContainsAny(got, "\r\n")
	case operator == "ipaddress":
		return inRange(wanted, got)
	case strings.HasPrefix(operator, "numeric"):
		w, ok1 := decimal(wanted)
		g, ok2 := decimal(got)
		return ok1 && ok2 && ordered(strings.TrimPrefix(operator, "numeric"), g.Cmp(w))
	case strings.HasPrefix(operator, "date"):
		w, ok1 := moment(wanted)
		g, ok2 := moment(got)
		return ok1 && ok2 && ordered(strings.TrimPrefix(operator, "date"), g.Compare(w))
	}
	return false
}

func ordered(operator string, cmp int) bool {
	return map[string]bool{"equals": cmp == 0, "lessthan": cmp < 0, "lessthanequals": cmp <= 0,
		"greaterthan": cmp > 0, "greaterthanequals": cmp >= 0}[operator]
}

var decimalShape = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

func decimal(s string) (*big.Rat, bool) {
	if !decimalShape.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

var epochShape = regexp.MustCompile(`^([0-9]{1,3}|[0-9]{5,18})$`)

func moment(s string) (time.Time, bool) {
	if epochShape.MatchString(s) {
		n, err := strconv.ParseInt(s, 10, 64)
		return time.Unix(n, 0).UTC(), err == nil
	}
	for _, layout := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00",
		"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, strings.ToUpper(s)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func inRange(wanted, got string) bool {
	a, err := netip.ParseAddr(got)
	if err != nil || a.Zone() != "" {
		return false
	}
	if a.Is4In6() {
		a = netip.AddrFrom4(a.As4())
	}
	if !strings.Contains(wanted, "/") {
		w, err := netip.ParseAddr(wanted)
		return err == nil && w.Unmap() == a
	}
	network, err := netip.ParsePrefix(wanted)
	if err != nil || network.Addr().BitLen() != a.BitLen() {
		return false
	}
	w, g := network.Addr().AsSlice(), a.AsSlice()
	for bit := range network.Bits() {
		if (w[bit/8]^g[bit/8])>>(7-bit%8)&1 == 1 {
			return false
		}
	}
	return true
}
