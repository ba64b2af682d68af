package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/bastide-cloud/bastide/internal/front"
	"github.com/bastide-cloud/bastide/internal/sandbox/drivers"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// Config is what the flags of `bastide serve` and `up` say.
type Config struct {
	Data            string   // the data directory
	Listen          string   // address of the AWS API, and of applications where ListenApps is empty
	ListenApps      string   // address of applications alone
	Account         string   // twelve digits
	Region          string   // for what names none
	OpenCredentials bool     // every access key is the administrator
	Waive           []string // sandbox layers to do without, by name
	Driver          string   // how functions are isolated: namespace, gvisor, or process, which is not at all; empty: namespace
	Runsc           string   // gVisor's program; empty: the one in PATH
	Pool            int      // sandboxes that are kept ready for functions' first events; 0: none
	PoolMemory      int64    // bytes that they may hold
	TLSCert, TLSKey string   // serve TLS with these files too
	Hosts           []string // names and addresses that other machines call this server by
	Issuers         []string // origins of token issuers that may be fetched though they are on this machine
	NameServer      string   // "address:port" of who resolves outgoing names; the machine's if empty
	Integrations    []string // origins of HTTP servers that integrations may call though they are on this machine or a private network
	Registries      []string // hosts of registries that images of functions may be fetched from
	RegistryConfig  string   // file with their credentials, as docker login writes it
}

// Defaults.
const (
	DefaultListen  = "127.0.0.1:4566" // the port that the ecosystem's wrappers use
	DefaultAccount = "123456789012"
	DefaultRegion  = "us-east-1"

	DefaultPool       = 8
	DefaultPoolMemory = 256 << 20
)

// DefaultData is ~/.bastide.
func DefaultData() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".bastide"
	}
	return filepath.Join(home, ".bastide")
}

// maxPool bounds the ready sandboxes: each has processes, descriptors and a cgroup.
const maxPool = 1000

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

// check finds settings that cannot be.
func (c Config) check() error {
	switch {
	case c.Data == "":
		return errors.New("--data names no directory")
	case !accountForm.MatchString(c.Account):
		return fmt.Errorf("--account %q is not twelve digits", c.Account)
	case c.Pool < 0 || c.Pool > maxPool:
		return fmt.Errorf("--pool %d is not between 0 and %d", c.Pool, maxPool)
	case c.Pool > 0 && c.PoolMemory < 16<<20:
		return errors.New("--pool-memory is less than one ready sandbox may take, 16 MB; --pool off keeps none")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	}
	return drivers.Check(c.Driver)
}

// reachable tells whether other machines can call the server.
func (c Config) reachable() bool {
	return !front.Loopback(c.Listen) || c.ListenApps != "" && !front.Loopback(c.ListenApps)
}

// Run is run.json: where the process that owns a data directory answers.
type Run struct {
	Address string    `json:"address"`
	Apps    string    `json:"apps,omitempty"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Open    bool      `json:"openCredentials,omitempty"`
	Issuers []string  `json:"allowIssuers,omitempty"`
	// Reachable: other machines can call it.
	Reachable bool `json:"reachable,omitempty"`
}

// NotRunningError says that no server owns a data directory, and what to do.
type NotRunningError struct{ Data string }

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no Bastide is running on %s; start one with: bastide serve --data %s", e.Data, e.Data)
}

const (
	runFile         = "run.json"
	credentialsFile = "credentials.json"
)

// ReadRun finds the server of a data directory. Error: *NotRunningError.
func ReadRun(data string) (Run, error) {
	var r Run
	b, err := os.ReadFile(filepath.Join(data, runFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, &NotRunningError{data}
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(data, runFile), err)
	}
	return r, nil
}

// Credentials are the administrator's keys as the first start left them.
type Credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	Account         string `json:"account"`
	UserName        string `json:"userName"`
}

// ReadCredentials reads the administrator's keys, which only the owner of the directory can.
func ReadCredentials(data string) (Credentials, error) {
	var c Credentials
	path := filepath.Join(data, credentialsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, &NotRunningError{data}
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Signing is the form that requests are signed with.
func (c Credentials) Signing() sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
}

// writePrivate writes a file that only the owner can read, whole or not at all.
func writePrivate(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(append(b, '\n')); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
