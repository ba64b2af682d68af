package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Programs that use what functions use of an interpreter: threads, processes, sockets, name look-up,
// files, randomness, TLS, the clock, the machine's figures.
const (
	nodeProgram = `
const fs = require('fs'), os = require('os'), net = require('net'), dns = require('dns'), cp = require('child_process');
const { Worker } = require('worker_threads'), crypto = require('crypto'), zlib = require('zlib');
fs.writeFileSync('/tmp/a', 'x'); fs.utimesSync('/tmp/a', 1, 1); fs.copyFileSync('/tmp/a', '/tmp/b'); fs.statfsSync('/tmp');
fs.mkdirSync('/tmp/d/e', { recursive: true }); fs.readdirSync('/tmp'); fs.renameSync('/tmp/b', '/tmp/c'); fs.watch('/tmp').close();
os.cpus(); os.networkInterfaces(); os.totalmem(); os.userInfo; os.hostname();
crypto.randomBytes(16); crypto.scryptSync('a', 'b', 16); zlib.gzipSync('x'); require('tls').createSecureContext();
const server = net.createServer(c => c.on('error', () => {}).end('pong')).listen(0, '127.0.0.1', async () => {
  const said = await new Promise((ok, no) => net.connect(server.address().port, '127.0.0.1').on('data', ok).on('error', no));
  await new Promise((ok, no) => dns.lookup('localhost', e => e ? no(e) : ok()));
  await new Promise((ok, no) => new Worker('require("worker_threads").parentPort.postMessage(1)', { eval: true }).on('message', ok).on('error', no));
  const child = cp.execFileSync(process.execPath, ['-e', 'console.log(6*7)']).toString().trim();
  const cut = net.connect(server.address().port, '127.0.0.1', () => cut.resetAndDestroy());
  await new Promise((ok, no) => cut.on('close', ok).on('error', no));
  server.close(); console.log('node', said.toString(), child);
});`
	pythonProgram = `
import os, ssl, socket, struct, subprocess, sys, tempfile, threading, time, json, hashlib, shutil, asyncio, mmap, select, random, decimal, sqlite3
from concurrent.futures import ThreadPoolExecutor
with tempfile.NamedTemporaryFile() as f:
    f.write(b'x' * 10000); f.flush(); os.utime(f.name); shutil.copy2(f.name, '/tmp/copy'); os.statvfs('/tmp'); os.sendfile
os.makedirs('/tmp/d/e'); list(os.scandir('/tmp')); os.urandom(8); ssl.create_default_context(); os.cpu_count(); os.getloadavg()
hashlib.scrypt(b'a', salt=b'b', n=2, r=1, p=1); sqlite3.connect('/tmp/db').execute('create table t(a)'); os.sched_getaffinity(0)
server = socket.create_server(('127.0.0.1', 0)); said = []
t = threading.Thread(target=lambda: server.accept()[0].sendall(b'pong')); t.start()
c = socket.create_connection(server.getsockname()); c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); said = c.recv(10).decode(); t.join()
socket.getaddrinfo('localhost', 80); list(ThreadPoolExecutor(4).map(str, range(8))); mmap.mmap(-1, 4096)
asyncio.run(asyncio.sleep(0.001)); pid = os.fork()
if pid == 0: os._exit(0)
os.waitpid(pid, 0)
child = subprocess.run([sys.executable, '-S', '-c', 'print(6*7)'], capture_output=True, text=True, check=True).stdout.strip()
print('python', said, child)`
)

// TestInterpreters runs what interpreters this machine has under the allow-list. A call that was
// forgotten shows here.
func TestInterpreters(t *testing.T) {
	l := newLab(t)
	found := 0
	for _, in := range interpreters(t) {
		found++
		s := l.spec()
		s.Argv = []string{in.program, in.flag, in.source}
		s.MemoryBytes = 512 * megabyte
		s.Env = []string{"HOME=/tmp", "PATH=/usr/bin:/bin"}
		s.Root = systemRoot(t, in.program)
		if got := l.try(s); got != in.want {
			t.Errorf("%s: %q, want %q", in.program, got, in.want)
		}
	}
	if found == 0 {
		t.Error("this machine has neither node nor python3 for this user: nothing was tried")
	}
}

type interpreter struct{ program, flag, source, want string }

// interpreters are those in the usual places that this user can execute.
func interpreters(t *testing.T) []interpreter {
	t.Helper()
	var all []interpreter
	for _, pattern := range []string{"/usr/bin/node", "/usr/local/bin/node", "/root/.nvm/versions/node/*/bin/node"} {
		all = append(all, matching(t, pattern, interpreter{"", "-e", nodeProgram, "node pong 42"})...)
	}
	for _, pattern := range []string{"/usr/bin/python3", "/usr/local/bin/python3", "/root/.pyenv/versions/3.[89].*/bin/python3", "/root/.pyenv/versions/3.1*/bin/python3"} {
		all = append(all, matching(t, pattern, interpreter{"", "-c", pythonProgram, "python pong 42"})...)
	}
	return all
}

func matching(t *testing.T, pattern string, in interpreter) []interpreter {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var out []interpreter
	for _, name := range names {
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			continue // not for this user
		}
		if err := exec.Command(real, "--version").Run(); err == nil {
			in.program = real
			out = append(out, in)
		}
	}
	return out
}

// systemRoot shows the system's programs and libraries, and the interpreter's own tree.
func systemRoot(t *testing.T, program string) RootFS {
	t.Helper()
	r := RootFS{Binds: []Bind{{Source: "/usr", Target: "/usr"}}, Links: map[string]string{},
		Files: map[string]File{"/etc/hosts": {Content: "127.0.0.1 localhost\n"}, "/etc/passwd": {Content: "sbx:x:993:990::/tmp:\n"}}}
	for _, dir := range []string{"/lib", "/lib64", "/bin"} {
		if to, err := os.Readlink(dir); err == nil {
			r.Links[dir] = to
		} else if _, err := os.Stat(dir); err == nil {
			r.Binds = append(r.Binds, Bind{Source: dir, Target: dir})
		}
	}
	if !strings.HasPrefix(program, "/usr/") {
		tree := filepath.Dir(filepath.Dir(program))
		r.Binds = append(r.Binds, Bind{Source: tree, Target: tree})
	}
	return r
}
