package policy

import (
	"strings"
	"time"
)

// number is a decimal of any size, compared exactly: floating point would call two different large
// sizes equal. Neither part has superfluous zeros.
type number struct {
	negative bool
	whole    string
	fraction string
}

// parseNumber reads -12.50; no exponents, as IAM has none.
func parseNumber(s string) (number, bool) {
	var n number
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	whole, fraction, dot := strings.Cut(s, ".")
	if whole == "" || dot && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return number{}, false
	}
	n.whole, n.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if n.whole == "" && n.fraction == "" {
		n.negative = false
	}
	return n, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func (n number) compare(m number) int {
	if n.negative != m.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	c := len(n.whole) - len(m.whole)
	if c == 0 {
		if c = strings.Compare(n.whole, m.whole); c == 0 {
			c = strings.Compare(n.fraction, m.fraction)
		}
	}
	if n.negative {
		return -c
	}
	return c
}

// instant is a moment: seconds since 1970 and nanoseconds.
type instant struct {
	seconds int64
	nanos   int64
}

func (t instant) compare(u instant) int {
	switch {
	case t.seconds != u.seconds && t.seconds < u.seconds || t.seconds == u.seconds && t.nanos < u.nanos:
		return -1
	case t == u:
		return 0
	}
	return 1
}

// parseInstant reads the W3C forms of ISO 8601 (2026, 2026-07, 2026-07-01, 2026-07-01T10:00Z,
// 2026-07-01T10:00:00Z, 2026-07-01T10:00:00.5+02:00) and seconds since 1970. Four digits are a year.
// A time without a zone is UTC.
func parseInstant(s string) (instant, bool) {
	if s == "" || len(s) > 40 {
		return instant{}, false
	}
	if allDigits(s) && len(s) != 4 {
		if len(s) > 18 {
			return instant{}, false
		}
		var n int64
		for i := range len(s) {
			n = n*10 + int64(s[i]-'0')
		}
		return instant{seconds: n}, true
	}
	p := dateReader{s: s}
	year, month, day := p.digits(4), 1, 1
	hour, minute, second, nanos, zone := 0, 0, 0, 0, 0
	if p.accept('-') {
		month = p.digits(2)
		if p.accept('-') {
			day = p.digits(2)
			if p.accept('T') || p.accept('t') {
				hour = p.digits(2)
				p.expect(':')
				minute = p.digits(2)
				if p.accept(':') {
					second = p.digits(2)
					nanos = p.fraction()
				}
				zone = p.zone()
			}
		}
	}
	if p.bad || p.pos != len(s) || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return instant{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if day < 1 || t.Day() != day {
		return instant{}, false
	}
	return instant{t.Unix() - int64(zone), int64(nanos)}, true
}

type dateReader struct {
	s   string
	pos int
	bad bool
}

func (p *dateReader) digits(n int) int {
	v := 0
	for range n {
		if p.pos >= len(p.s) || p.s[p.pos] < '0' || p.s[p.pos] > '9' {
			p.bad = true
			return 0
		}
		v = v*10 + int(p.s[p.pos]-'0')
		p.pos++
	}
	return v
}

func (p *dateReader) accept(c byte) bool {
	if p.pos < len(p.s) && p.s[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *dateReader) expect(c byte) {
	if !p.accept(c) {
		p.bad = true
	}
}

// fraction reads up to nine decimals of a second as nanoseconds.
func (p *dateReader) fraction() int {
	if !p.accept('.') {
		return 0
	}
	v, n := 0, 0
	for p.pos < len(p.s) && p.s[p.pos] >= '0' && p.s[p.pos] <= '9' {
		v = v*10 + int(p.s[p.pos]-'0')
		p.pos++
		n++
		if n > 9 {
			p.bad = true
			return 0
		}
	}
	p.bad = p.bad || n == 0
	for ; n < 9; n++ {
		v *= 10
	}
	return v
}

// zone reads Z or ±hh:mm, in seconds east of UTC.
func (p *dateReader) zone() int {
	if p.pos == len(p.s) || p.accept('Z') || p.accept('z') {
		return 0
	}
	sign := 1
	if p.accept('-') {
		sign = -1
	} else {
		p.expect('+')
	}
	h := p.digits(2)
	p.expect(':')
	m := p.digits(2)
	p.bad = p.bad || h > 23 || m > 59
	return sign * (h*3600 + m*60)
}
