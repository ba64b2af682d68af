package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// What real programs do, in each language: TLS to themselves with a certificate of their own, files in all
// ways, threads, processes with pipes, compression, a database. They print what came of it; a call that
// the allow-list lacks shows as another text.
const (
	nodeWork = `
const fs = require('fs'), tls = require('tls'), cp = require('child_process'), zlib = require('zlib'), assert = require('assert');
const { Worker } = require('worker_threads');
const pem = { key: fs.readFileSync('/etc/key.pem'), cert: fs.readFileSync('/etc/cert.pem') };
function files() {
  const fd = fs.openSync('/tmp/file', 'w+');
  fs.writeSync(fd, 'x'.repeat(10000)); fs.fsyncSync(fd); fs.fdatasyncSync(fd); fs.ftruncateSync(fd, 100); fs.fchmodSync(fd, 0o600); fs.futimesSync(fd, 1, 1);
  assert.equal(fs.fstatSync(fd).size, 100); fs.closeSync(fd);
  fs.symlinkSync('file', '/tmp/link'); fs.linkSync('/tmp/file', '/tmp/hard'); fs.renameSync('/tmp/hard', '/tmp/moved');
  assert.equal(fs.readlinkSync('/tmp/link'), 'file'); assert.equal(fs.readFileSync('/tmp/link').length, 100);
  fs.copyFileSync('/tmp/file', '/tmp/copy'); fs.cpSync('/tmp/copy', '/tmp/again'); fs.rmSync('/tmp/copy'); fs.accessSync('/tmp/moved'); fs.mkdtempSync('/tmp/d'); fs.opendirSync('/tmp').closeSync();
  fs.truncateSync('/tmp/moved', 1); fs.realpathSync('/tmp/link'); fs.lutimesSync('/tmp/link', 1, 1);
  return 'ok';
}
async function main() {
  const server = tls.createServer(pem, s => s.on('data', d => s.end('got ' + d)));
  await new Promise(ok => server.listen(0, '127.0.0.1', ok));
  const said = await new Promise((ok, no) => tls.connect({ port: server.address().port, host: '127.0.0.1', ca: pem.cert, servername: 'localhost' },
    function () { this.write('hello'); }).on('data', d => ok(d + '')).on('error', no));
  server.close();
  const sum = (await Promise.all([1, 2, 3, 4].map(n => new Promise((ok, no) => {
    const shared = new SharedArrayBuffer(4);
    new Worker('const { workerData: w, parentPort } = require("worker_threads"); Atomics.add(new Int32Array(w.shared), 0, w.n); Atomics.notify(new Int32Array(w.shared), 0); parentPort.postMessage(0)',
      { eval: true, workerData: { shared, n } }).on('message', () => ok(new Int32Array(shared)[0])).on('error', no);
  })))).reduce((a, b) => a + b);
  const child = cp.spawn(process.execPath, ['-e', 'process.stdin.on("data", d => process.stdout.write(String(d * 2)))']);
  child.stdin.end('21');
  const twice = await new Promise(ok => child.stdout.on('data', d => ok(d + '')));
  const forked = await new Promise((ok, no) => { fs.writeFileSync('/tmp/k.js', 'process.on("message", m => { process.send(m + 1); process.exit() })'); cp.fork('/tmp/k.js').on('message', ok).on('error', no).send(6); });
  cp.execSync('exit 0', { shell: '/bin/sh' });
  const text = Buffer.from('x'.repeat(100000)); let zip = 'ok';
  for (const [a, b] of [['gzipSync', 'gunzipSync'], ['brotliCompressSync', 'brotliDecompressSync'], ['deflateRawSync', 'inflateRawSync']]) if (!zlib[b](zlib[a](text)).equals(text)) zip = a;
  zip = await new Promise(ok => zlib.gzip(text, (e, z) => zlib.gunzip(z, (e, t) => ok(t.equals(text) ? zip : 'async'))));
  let rows = 3;
  if (process.versions.node.split('.')[0] >= 22) {
    const { DatabaseSync } = require('node:sqlite'), db = new DatabaseSync('/tmp/db');
    db.exec('pragma journal_mode=wal; create table t(a); insert into t values (1), (2), (3)'); rows = db.prepare('select count(*) c from t').get().c; db.close();
  }
  console.log('tls=' + said, 'files=' + files(), 'threads=' + sum, 'processes=' + twice + ',' + forked, 'zip=' + zip, 'rows=' + rows);
}
main().catch(e => { console.log(e); process.exit(1); });`
	pythonWork = `
import bz2, ctypes, fcntl, gzip, lzma, mmap, multiprocessing, os, shutil, signal, socket, sqlite3, ssl, subprocess, sys, tarfile, threading, zipfile, zlib
def files():
    f = open('/tmp/file', 'w+b'); f.write(b'x' * 10000); f.flush(); os.fsync(f.fileno()); os.fdatasync(f.fileno())
    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.flock(f, fcntl.LOCK_UN); fcntl.lockf(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_UN)
    m = mmap.mmap(f.fileno(), 10000); m[0:3] = b'abc'; m.flush(); m.close(); os.posix_fallocate(f.fileno(), 0, 20000); f.truncate(100)
    assert os.pread(f.fileno(), 3, 0) == b'abc'; os.fchmod(f.fileno(), 0o600); os.symlink('file', '/tmp/link'); os.link('/tmp/file', '/tmp/hard'); os.replace('/tmp/hard', '/tmp/moved')
    assert os.path.getsize('/tmp/link') == 100; shutil.copytree('/tmp', '/tmp/tree', ignore=lambda d, n: ['tree']); shutil.rmtree('/tmp/tree'); os.mkfifo('/tmp/fifo')
    try: os.setxattr('/tmp/file', 'user.mark', b'1'); assert os.getxattr('/tmp/file', 'user.mark') == b'1' and os.listxattr('/tmp/file'); os.removexattr('/tmp/file', 'user.mark')
    except OSError as e: assert e.errno == 95, e  # before Linux 6.6 a tmpfs has none
    os.copy_file_range(f.fileno(), os.open('/tmp/copy', os.O_CREAT | os.O_WRONLY), 50, 0) if hasattr(os, 'copy_file_range') else 0
    return 'ok'
def talk():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain('/etc/cert.pem', '/etc/key.pem')
    l = socket.create_server(('127.0.0.1', 0)); out = []
    def serve():
        s = c.wrap_socket(l.accept()[0], server_side=True); s.sendall(b'got ' + s.recv(10)); s.close()
    t = threading.Thread(target=serve); t.start()
    s = ssl.create_default_context(cafile='/etc/cert.pem').wrap_socket(socket.create_connection(l.getsockname()), server_hostname='localhost')
    s.sendall(b'hello'); said = s.recv(100).decode(); s.close(); t.join(); return said
def threads():
    total = [0]; lock = threading.Lock(); gate = threading.Barrier(4)
    def add(n):
        gate.wait()
        with lock: total[0] += n
    all = [threading.Thread(target=add, args=(n,)) for n in (1, 2, 3, 4)]
    for t in all: t.start()
    for t in all: t.join()
    return total[0]
def double(q, n): q.send(n + 1)
def processes():
    p = subprocess.Popen([sys.executable, '-S', '-c', 'print(int(input())*2)'], stdin=subprocess.PIPE, stdout=subprocess.PIPE); out = p.communicate(b'21')[0].decode().strip()
    a, b = multiprocessing.Pipe(); k = multiprocessing.get_context('fork').Process(target=double, args=(b, 6)); k.start(); got = a.recv(); k.join()
    s = subprocess.Popen(['sleep', '100'], start_new_session=True); os.killpg(s.pid, signal.SIGTERM); assert s.wait() == -15
    assert subprocess.run('echo a | tr a b', shell=True, stdout=subprocess.PIPE).stdout == b'b\n'
    return '%s,%d' % (out, got)
def zipped():
    text = b'x' * 100000
    for z in (gzip, bz2, lzma, zlib): assert z.decompress(z.compress(text)) == text
    with zipfile.ZipFile('/tmp/z.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('a', text)
    assert zipfile.ZipFile('/tmp/z.zip').read('a') == text
    with tarfile.open('/tmp/t.tar.gz', 'w:gz') as t: t.add('/tmp/z.zip', 'z')
    return 'ok'
def rows():
    d = sqlite3.connect('/tmp/db'); d.execute('pragma journal_mode=wal'); d.execute('create table t(a)'); d.executemany('insert into t values (?)', [(1,), (2,), (3,)]); d.commit()
    n = d.execute('select count(*) from t').fetchone()[0]; d.execute('vacuum'); return n
print('tls=' + talk(), 'files=' + files(), 'threads=%d' % threads(), 'processes=' + processes(), 'zip=' + zipped(), 'rows=%d' % rows())`
)

const worked = "tls=got hello files=ok threads=10 processes=42,7 zip=ok rows=3"

// TestPrograms runs them with the interpreters that there are, and the same in Go.
func TestPrograms(t *testing.T) {
	l := newLab(t)
	key, cert := certificate(t)
	languages := map[string]bool{}
	run := func(name string, root RootFS, argv ...string) {
		s := l.spec()
		s.Argv, s.Root, s.MemoryBytes = argv, root, 768*megabyte
		s.Env = []string{"HOME=/tmp", "PATH=/usr/bin:/bin"}
		if s.Root.Files == nil {
			s.Root.Files = map[string]File{}
		}
		s.Root.Files["/etc/key.pem"], s.Root.Files["/etc/cert.pem"] = File{Content: key}, File{Content: cert}
		out, exit := l.run(s)
		if lines := strings.Split(out, "\n"); lines[len(lines)-1] != worked || exit.Code != 0 {
			t.Errorf("%s: %+v %s", name, exit, out)
		}
	}
	for _, in := range interpreters(t) {
		language, source := "node", nodeWork
		if in.flag == "-c" {
			language, source = "python", pythonWork
		}
		languages[language] = true
		run(in.program, systemRoot(t, in.program), in.program, in.flag, source)
	}
	if !languages["node"] && l.ns.root || !languages["python"] {
		t.Errorf("only %v were there to try", languages)
	}
	run("Go", RootFS{Binds: []Bind{{Source: worker(t, l.kit), Target: "/worker"}}}, "/worker")
}

// certificate is a key and a certificate of its own for localhost.
func certificate(t *testing.T) (key, cert string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// worker is the program in Go, which is only built where the kit has none yet.
func worker(t testing.TB, kit string) string {
	t.Helper()
	path := filepath.Join(kit, "worker")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	b, err := os.ReadFile(sandboxtest.Build(t, "internal/sandbox/testdata/worker"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
