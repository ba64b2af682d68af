// Command worker does what programs in Go do, and prints what came of it; see TestPrograms.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"
)

func main() {
	if len(os.Args) > 1 {
		var n int
		must(fmt.Sscan(os.Args[1], &n))
		b := must(io.ReadAll(os.Stdin))
		fmt.Printf("%s%d", b, n+1)
		return
	}
	fmt.Printf("tls=%s files=%s threads=%d processes=%s zip=%s rows=%d\n", talk(), files(), threads(), processes(), zipped(), rows())
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// talk is TLS with itself.
func talk() string {
	pair := must(tls.LoadX509KeyPair("/etc/cert.pem", "/etc/key.pem"))
	l := must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}}))
	go func() {
		c := must(l.Accept())
		b := make([]byte, 5)
		must(io.ReadFull(c, b))
		must(fmt.Fprintf(c, "got %s", b))
		check(c.Close())
	}()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile("/etc/cert.pem")))
	c := must(tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost"}))
	must(io.WriteString(c, "hello"))
	return string(must(io.ReadAll(c)))
}

func files() string {
	f := must(os.Create("/tmp/file"))
	must(f.Write(bytes.Repeat([]byte("x"), 10000)))
	check(f.Sync())
	fd := int(f.Fd())
	check(unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB))
	check(unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	m := must(unix.Mmap(fd, 0, 10000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED))
	copy(m, "abc")
	check(unix.Msync(m, unix.MS_SYNC))
	check(unix.Munmap(m))
	check(unix.Fallocate(fd, 0, 0, 20000))
	check(f.Truncate(100))
	check(os.Symlink("file", "/tmp/link"))
	check(os.Link("/tmp/file", "/tmp/hard"))
	check(os.Rename("/tmp/hard", "/tmp/moved"))
	check(unix.Renameat2(unix.AT_FDCWD, "/tmp/moved", unix.AT_FDCWD, "/tmp/file", unix.RENAME_EXCHANGE))
	if err := unix.Setxattr("/tmp/file", "user.mark", []byte("1"), 0); err != unix.EOPNOTSUPP {
		check(err)
	}
	root := must(os.OpenRoot("/tmp"))
	if b := must(root.ReadFile("link")); len(b) != 100 || !bytes.HasPrefix(b, []byte("abc")) {
		return fmt.Sprintf("%q", b)
	}
	must(io.Copy(must(os.Create("/tmp/copy")), must(os.Open("/tmp/file"))))
	check(os.RemoveAll(must(os.MkdirTemp("", ""))))
	return "ok"
}

// threads are goroutines, each locked to a thread of its own.
func threads() int64 {
	var sum atomic.Int64
	var wg, all sync.WaitGroup
	all.Add(4)
	for n := range int64(5) {
		if n == 0 {
			continue
		}
		wg.Go(func() {
			runtime.LockOSThread()
			all.Done()
			all.Wait()
			sum.Add(n)
		})
	}
	wg.Wait()
	return sum.Load()
}

func processes() string {
	cmd := exec.Command("/proc/self/exe", "6")
	cmd.Stdin = strings.NewReader("42,")
	return string(must(cmd.Output()))
}

func zipped() string {
	text := bytes.Repeat([]byte("x"), 100000)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	must(w.Write(text))
	check(w.Close())
	if !bytes.Equal(must(io.ReadAll(must(gzip.NewReader(&b)))), text) {
		return "gzip"
	}
	b.Reset()
	d := must(flate.NewWriter(&b, 9))
	must(d.Write(text))
	check(d.Close())
	if !bytes.Equal(must(io.ReadAll(flate.NewReader(&b))), text) {
		return "flate"
	}
	f := must(os.Create("/tmp/a.zip"))
	z := zip.NewWriter(f)
	must(must(z.Create("a")).Write(text))
	check(z.Close())
	r := must(zip.OpenReader("/tmp/a.zip"))
	if !bytes.Equal(must(io.ReadAll(must(r.Open("a")))), text) {
		return "zip"
	}
	return "ok"
}

func rows() (n int) {
	db := must(sql.Open("sqlite", "/tmp/db"))
	must(db.Exec("pragma journal_mode=wal; create table t(a); insert into t values (1), (2), (3)"))
	check(db.QueryRow("select count(*) from t").Scan(&n))
	check(db.Close())
	return n
}
