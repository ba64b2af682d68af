package app

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// shelf is a machine that has interpreters, and SDKs for some.
type shelf struct {
	sdks    map[string]bool
	refused error // by the registry
	fetched []string
}

func (s *shelf) Ready(_ context.Context, name string) (*runtimes.Runtime, error) {
	if !s.sdks[name] {
		return nil, &runtimes.MissingError{Runtime: name, Hint: "bastide runtimes install " + name, SDK: true}
	}
	return &runtimes.Runtime{}, nil
}

func (s *shelf) Install(_ context.Context, name string, _ []string, progress func(string)) error {
	s.fetched = append(s.fetched, name)
	progress("installing")
	if s.refused == nil {
		s.sdks[name] = true
	}
	return s.refused
}

// TestSDKsAreFetchedOrNamed: up fetches the SDKs that the template's functions lack, and only those;
// where it may not or cannot, it names the functions and the command.
func TestSDKsAreFetchedOrNamed(t *testing.T) {
	wanted := map[string][]string{"python3.12": {"Create"}, "nodejs20.x": {"List", "Delete"}, "cobol85": {"Old"}}
	command := "nodejs20.x, for List, Delete: nodejs20.x has no AWS SDK on this machine, which functions on Lambda find there. To get it, run\n" +
		"  bastide runtimes install nodejs20.x --data /d\n"
	for name, c := range map[string]struct {
		fetch   bool
		refused error
		fetched string
		want    string
	}{
		"fetched":     {fetch: true, fetched: "nodejs20.x"},
		"not allowed": {want: command},
		"no registry": {fetch: true, refused: errors.New("no route"), fetched: "nodejs20.x", want: "fetching it failed: no route"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{sdks: map[string]bool{"python3.12": true}, refused: c.refused}
			var said strings.Builder
			err := haveRuntimes(t.Context(), s, "/d", wanted, c.fetch, NewTerminal(io.Discard, &said, false))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), command)) {
				t.Errorf("got %v", err)
			}
			if got := strings.Join(s.fetched, " "); got != c.fetched {
				t.Errorf("fetched %q", got)
			}
			if strings.Contains(said.String(), "fetching") != c.fetch {
				t.Errorf("said %q", said.String())
			}
		})
	}
}
