package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process under test.
type server struct {
	name    string
	address string
	keys    Keys
	started time.Duration // from exec to the first answered call
	cmd     *exec.Cmd
	control *conn // for what is made before a measurement
	things  map[string]bool
	apiID   string
}

// ready is the first call that a server must answer.
var ready = Request{Service: "sts", Method: "POST", Path: "/",
	Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
	Body:    "Action=GetCallerIdentity&Version=2011-06-15"}

// startBastide starts the binary on data and waits for its first answered call.
func startBastide(ctx context.Context, o options, data string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	args := append([]string{"serve", "--data", data, "--listen", address}, o.serve...)
	if o.profile != "" {
		args = append(args, "--profile", o.profile)
	}
	s := &server{name: "Bastide", address: address, cmd: exec.Command(o.binary, args...), things: map[string]bool{}}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", o.binary, err), s.stop())
	}
	if !strings.HasPrefix(line, "ready ") {
		return nil, errors.Join(fmt.Errorf("%s said %q", o.binary, line), s.stop())
	}
	go io.Copy(io.Discard, out)
	var keys struct{ AccessKeyId, SecretAccessKey string }
	text, err := os.ReadFile(filepath.Join(data, "credentials.json"))
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.keys = Keys{keys.AccessKeyId, keys.SecretAccessKey}
	return s, s.await(ctx, begin)
}

// startMoto starts the peer.
func startMoto(ctx context.Context, path string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	s := &server{name: "moto_server", address: address, keys: Keys{"bench", "bench"}, cmd: exec.Command(path, "-H", host, "-p", port), things: map[string]bool{}}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.await(ctx, begin)
}

// await asks until the first answer.
func (s *server) await(ctx context.Context, begin time.Time) error {
	for ctx.Err() == nil && time.Since(begin) < time.Minute {
		if c, err := dial(s.address, s.keys); err == nil {
			status, answer, err := c.do(ready, 0)
			if err == nil && status == 200 {
				s.started, s.control = time.Since(begin), c
				return nil
			}
			c.Close()
			if err == nil {
				return errors.Join(fmt.Errorf("%s: the first call: %d %s", s.name, status, answer), s.stop())
			}
		}
		time.Sleep(time.Millisecond)
	}
	return errors.Join(fmt.Errorf("%s never answered", s.name), ctx.Err(), s.stop())
}

func (s *server) stop() error {
	if s == nil || s.cmd.Process == nil {
		return nil
	}
	if s.control != nil {
		s.control.Close()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	timer := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	err := s.cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return nil
	}
	return err
}

// call makes one call that must succeed.
func (s *server) call(r Request) ([]byte, error) {
	status, answer, err := s.control.do(r, 0)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s: %s %s: %d %s", s.name, r.Method, r.Path, status, answer)
	}
	return answer, err
}

// memory is the server's resident and its proportional set, in bytes.
func (s *server) memory() (rss, pss int64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if part := strings.Fields(lines.Text()); len(part) > 1 {
			n, _ := strconv.ParseInt(part[1], 10, 64)
			switch part[0] {
			case "Rss:":
				rss = n << 10
			case "Pss:":
				pss = n << 10
			}
		}
	}
	return rss, pss, nil
}

// ticks a second of the times in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const ticks = 100

// spent is the processor time that the server has used, without that of functions.
func (s *server) spent() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	part := strings.Fields(rest)
	if len(part) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(part[11])
	system, _ := strconv.Atoi(part[12])
	return time.Duration(user+system) * time.Second / ticks
}

func freeAddress(ctx context.Context) (string, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
