package runtimes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Ready is Resolve for a function. Lambda supplies an SDK with every runtime but a custom one, so
// that one without it is missing too (*MissingError), unless InstallWithoutSDK has said that it may do
// without.
func (c *Catalog) Ready(ctx context.Context, name string) (*Runtime, error) {
	r, err := c.Resolve(ctx, name)
	if err != nil || r.supplied() || c.withoutSDK(name) {
		return r, err
	}
	c.mu.Lock()
	delete(c.resolved, name) // another process may have installed it since
	c.mu.Unlock()
	if r, err = c.Resolve(ctx, name); err != nil || r.supplied() {
		return r, err
	}
	return nil, &MissingError{Runtime: name, Hint: "bastide runtimes install " + name, SDK: true}
}

// supplied tells whether the runtime has what Lambda supplies with it.
func (r *Runtime) supplied() bool { return r.Family == Custom || r.SDK.Dir != "" }

// InstallWithoutSDK is Install for a machine that no registry answers: it records that functions on
// this runtime do without the SDK until Install has fetched it. An interpreter that is missing is
// fetched all the same.
func (c *Catalog) InstallWithoutSDK(ctx context.Context, name string, progress func(string)) error {
	id, err := Lookup(name)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(string) {}
	}
	if id.Family == Custom {
		progress(name + " needs nothing: its functions bring their own program")
		return nil
	}
	if _, err := c.interpreter(ctx, id, progress); err != nil {
		return err
	}
	return c.DoWithoutSDK(id)
}

// DoWithoutSDK records that functions on a runtime do without the SDK.
func (c *Catalog) DoWithoutSDK(id Identifier) error {
	dir, err := c.folder("without-sdk")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, id.Name), nil, 0o600); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}

func (c *Catalog) withoutSDK(name string) bool {
	_, err := os.Stat(filepath.Join(c.dir, "without-sdk", name))
	return err == nil
}

// Unsupplied are the runtimes that do without an SDK.
func (c *Catalog) Unsupplied(ctx context.Context) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, "without-sdk"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	if len(entries) == 0 {
		return nil, nil // looking at every interpreter takes a second
	}
	list, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.WithoutSDK {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// wantSDK ends what DoWithoutSDK began.
func (c *Catalog) wantSDK(name string) error {
	err := os.Remove(filepath.Join(c.dir, "without-sdk", name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}
