package main

import (
	"fmt"
	"strconv"
)

// poolSize is a number of sandboxes, or "off".
type poolSize int

func (p *poolSize) String() string {
	if *p == 0 {
		return "off"
	}
	return strconv.Itoa(int(*p))
}

// Set implements the flags' interface, as Type does.
func (p *poolSize) Set(text string) error {
	if text == "off" {
		*p = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is neither a number nor off", text)
	}
	*p = poolSize(n)
	return nil
}

// Type is what help calls it.
func (p *poolSize) Type() string { return "N|off" }

// megabytes is a number of bytes that is given in MB.
type megabytes int64

func (m *megabytes) String() string { return strconv.FormatInt(int64(*m)>>20, 10) }

// Set implements the flags' interface, as Type does.
func (m *megabytes) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number of MB", text)
	}
	*m = megabytes(n << 20)
	return nil
}

// Type is what help calls it.
func (m *megabytes) Type() string { return "MB" }
