package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiled runs fn and leaves its profiles in dir: cpu.pprof, and allocs.pprof and goroutine.pprof
// as they are at the end. An empty dir just runs it. No port is opened for this.
func profiled(dir string, fn func() error) (err error) {
	if dir == "" {
		return fn()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu.Close()) }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	err = fn()
	pprof.StopCPUProfile()
	return errors.Join(err, writeProfile(dir, "allocs"), writeProfile(dir, "goroutine"))
}

func writeProfile(dir, name string) error {
	f, err := os.Create(filepath.Join(dir, name+".pprof"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}
