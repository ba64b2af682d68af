package runtimes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Support is until when Lambda supports a runtime, as its developer guide publishes it ("Lambda
// runtimes", the tables of supported and deprecated runtimes, as of 2026-09; forecasts may move).
// A zero time is one that is not scheduled.
type Support struct {
	Deprecated  time.Time // no more security fixes
	BlockCreate time.Time // from then on Lambda creates no functions on it
	BlockUpdate time.Time // nor updates any
}

// Over tells whether a runtime gets no more security fixes.
func (s Support) Over(now time.Time) bool { return !s.Deprecated.IsZero() && !now.Before(s.Deprecated) }

func until(deprecated, create, update string) Support {
	day := func(text string) time.Time {
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			panic(err) // the table below is tested
		}
		return t
	}
	return Support{day(deprecated), day(create), day(update)}
}

// SupportOf is until when an identifier is supported.
func SupportOf(name string) Support {
	switch name {
	case "nodejs24.x":
		return until("2028-04-30", "2028-06-01", "2028-07-01")
	case "nodejs22.x":
		return until("2027-04-30", "2027-06-01", "2027-07-01")
	case "nodejs20.x":
		return until("2026-04-30", "2026-08-31", "2026-09-30")
	case "nodejs18.x":
		return until("2025-09-01", "2026-08-31", "2026-09-30")
	case "python3.14", "python3.13":
		return until("2029-06-30", "2029-07-31", "2029-08-31")
	case "python3.12":
		return until("2028-10-31", "2028-11-30", "2029-01-10")
	case "python3.11":
		return until("2027-06-30", "2027-07-31", "2027-08-31")
	case "python3.10":
		return until("2026-10-31", "2026-11-30", "2027-01-15")
	case "python3.9":
		return until("2025-12-15", "2026-08-31", "2026-09-30")
	case "python3.8":
		return until("2024-10-14", "2026-08-31", "2026-09-30")
	case "provided.al2023":
		return until("2029-06-30", "2029-07-31", "2029-08-31")
	case "provided.al2":
		return until("2026-07-31", "2026-08-31", "2026-09-30")
	}
	return Support{}
}

// VersionID names what a function on this runtime runs on: it changes with the interpreter, the SDK and
// the program between them.
func (r *Runtime) VersionID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", r.Name, r.Full, r.SDK.Version, programDigest(r.Identifier)))
	return hex.EncodeToString(sum[:])
}

// VersionOf is the VersionID of what this machine has for a name.
func (c *Catalog) VersionOf(ctx context.Context, name string) (string, error) {
	r, err := c.Ready(ctx, name)
	if err != nil {
		return "", err
	}
	return r.VersionID(), nil
}

// MovedError is a function that stays on a version of its runtime which this machine has not got, or
// no longer.
type MovedError struct{ Runtime string }

func (e *MovedError) Error() string {
	return "runtimes: the version of " + e.Runtime + " that the function stays on is not on this machine"
}
