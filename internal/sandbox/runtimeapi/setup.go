package runtimeapi

import (
	"context"
	"encoding/binary"
	"fmt"
)

// maxSetUp bounds a set-up: Lambda's bound of a function's variables is 4 KB, and the platform's own are
// few.
const maxSetUp = 1 << 20

// Waiting waits until a guest that was started before its function was known has said that it waits.
func (c *Channel) Waiting(ctx context.Context) error {
	if !c.mu.TryLock() {
		return ErrBusy
	}
	defer c.mu.Unlock()
	f, err := c.converse(ctx, nil)
	if err == nil && f.kind != kindWaiting {
		err = c.broken(f)
	}
	return err
}

// SetUp tells a guest that was started before its function was known (with the word "wait", see package
// bootstrap), and waits, in which directory to work and its whole environment, each as NAME=value. It is
// said once, before Ready, and has no answer but that.
func (c *Channel) SetUp(ctx context.Context, dir string, env []string) error {
	if !c.mu.TryLock() {
		return ErrBusy
	}
	defer c.mu.Unlock()
	if c.spent != nil {
		return c.spent
	}
	n := 4 + len(dir)
	for _, e := range env {
		n += 4 + len(e)
	}
	if n > maxSetUp {
		return fmt.Errorf("runtimeapi: a set-up of %d bytes is above the limit of %d", n, maxSetUp)
	}
	b := appendHeader(make([]byte, 0, headerSize+n), kindSetUp, 0, n)
	for _, text := range append([]string{dir}, env...) {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	stop := context.AfterFunc(ctx, c.expire)
	defer stop()
	if _, err := c.stream.Write(b); err != nil {
		return c.lost(ctx, err)
	}
	return nil
}
