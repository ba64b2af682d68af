package fleet

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// guestProgram is a function that brings its own runtime.
func guestProgram(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(filepath.Dir(os.Getenv(initKit)), "guest")
	if os.Getenv(initKit) == "" {
		path = sandboxtest.Build(t, "internal/sandbox/testdata/guest")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// image makes a function of an image that has the guest at /srv/guest, and more.
func (l *lab) image(name string, launch image.Launch, more ...sandboxtest.Entry) Function {
	l.t.Helper()
	if l.guest == nil {
		l.guest = guestProgram(l.t)
	}
	dir, err := sandboxtest.Unpack(l.t, sandboxtest.Layer(l.t, append([]sandboxtest.Entry{{Name: "srv/guest", Body: string(l.guest), Mode: 0o755}}, more...)...))
	if err != nil {
		l.t.Fatal(err)
	}
	fn := l.function("provided.al2023", name, "")
	fn.Runtime, fn.Handler, fn.Code = "", "", ""
	fn.Image = &Image{Dir: dir, Launch: launch}
	return fn
}

func TestImageFunction(t *testing.T) {
	l := newLab(t)
	fn := l.image("img", image.Launch{Entrypoint: []string{"guest", "-v"}, Cmd: []string{"app.handler"}, Dir: "/srv",
		Env: []string{"PATH=/bin:/srv", "STAGE=image", "COLOUR=blue", "SSL_CERT_FILE=/nowhere", "AWS_REGION=mars-1", "_HANDLER=app.handler"}},
		sandboxtest.Entry{Name: "etc/hosts", Body: "10.0.0.1 evil"}, sandboxtest.Entry{Name: "etc/ssl/certs/ca-certificates.crt", Body: "the image's"})
	fn.Env = map[string]string{"COLOUR": "green"}
	for event, want := range map[string]string{
		`{"x":1}`:                                       `\{"x":1\}`,
		`["args"]`:                                      `\["/srv/guest","-v","app.handler"\]`,
		`["dir"]`:                                       `"/srv"`,
		`["env","STAGE"]`:                               `"image"`,
		`["env","COLOUR"]`:                              `"green"`,
		`["env","AWS_REGION"]`:                          `"eu-west-1"`,
		`["env","_HANDLER"]`:                            `""`,
		`["env","LAMBDA_TASK_ROOT"]`:                    `"/var/task"`,
		`["env","SSL_CERT_FILE"]`:                       `"` + bundlePath + `"`,
		`["env","AWS_ACCESS_KEY_ID"]`:                   `"ASIAimg"`,
		`["read","/etc/hosts"]`:                         `"127.0.0.1 localhost sandbox.localdomain sandbox.local sandbox\\n"`,
		`["read","/etc/resolv.conf"]`:                   `"nameserver 127.0.0.1\\n.*"`,
		`["write","/srv/x"]`:                            `".*(read-only file system|permission denied)"`,
		`["write","/tmp/x"]`:                            `"ok"`,
		`["look up","s3.amazonaws.com"]`:                `"127.0.0.1"`,
		`["get","https://s3.amazonaws.com/"]`:           `"img s3.amazonaws.com tls=true"`, // with the roots that were laid over
		`["read","/etc/ssl/certs/ca-certificates.crt"]`: `".*BEGIN CERTIFICATE.*"`,
	} {
		l.want(l.invoke(fn, event), "", want)
	}
	logs := l.logs()
	if logs[0] != "ready\n" {
		t.Errorf("an image has no runtime version to tell of: %q", logs[0])
	}
	if n, _ := l.Count(); n != 1 {
		t.Errorf("%d instances", n)
	}
}

func TestImagesThatDoNotStart(t *testing.T) {
	l := newLab(t)
	script := sandboxtest.Entry{Name: "srv/script", Body: "#!/nowhere/sh\n", Mode: 0o755}
	other := sandboxtest.Entry{Name: "srv/other", Body: "not a program of this machine", Mode: 0o755}
	private := sandboxtest.Entry{Name: "srv/private", Body: "#!", Mode: 0o700}
	link := sandboxtest.Entry{Name: "srv/link", Body: "../../../../../../bin/sh", Kind: tar.TypeSymlink}
	for _, c := range []struct {
		launch      image.Launch
		kind, words string
	}{
		{image.Launch{}, "InvalidEntrypoint", "the image has neither an entry point nor a command"},
		{image.Launch{Cmd: []string{"python"}}, "InvalidEntrypoint", `exec: \"python\": executable file not found in $PATH`},
		{image.Launch{Entrypoint: []string{"/srv/none"}, Dir: "/srv"}, "InvalidEntrypoint", "fork/exec /srv/none: no such file or directory"},
		{image.Launch{Entrypoint: []string{"./script"}, Dir: "/srv"}, "InvalidEntrypoint", "fork/exec /srv/script: no such file or directory"},
		{image.Launch{Entrypoint: []string{"/srv/other"}}, "InvalidEntrypoint", "fork/exec /srv/other: exec format error"},
		{image.Launch{Entrypoint: []string{"/srv/private"}}, "InvalidEntrypoint", "fork/exec /srv/private: permission denied"},
		{image.Launch{Entrypoint: []string{"/srv/link"}}, "InvalidEntrypoint", "fork/exec /srv/link: no such file or directory"},
		{image.Launch{Entrypoint: []string{"/srv/guest"}, Dir: "srv"}, "InvalidWorkingDir", "the working directory 'srv' is invalid, it needs to be an absolute path"},
		{image.Launch{Entrypoint: []string{"/srv/guest"}, Dir: "/none"}, "InvalidWorkingDir", "chdir /none: no such file or directory"},
	} {
		fn := l.image("broken", c.launch, script, other, private, link)
		out := l.invoke(fn, `1`)
		want := `{"errorType":"Runtime.` + c.kind + `","errorMessage":"RequestId: ` + id + ` Error: ` + c.words + `"}`
		if string(out.Payload) != want || out.FunctionError != "Unhandled" {
			t.Errorf("%s %s, want %s", out.FunctionError, out.Payload, want)
		}
		if tail := string(out.LogTail); !strings.Contains(tail, "IMAGE\tLaunch error: ") || !strings.Contains(tail, "REPORT RequestId: "+id) {
			t.Errorf("the log is %q", tail)
		}
	}
	if n, _ := l.Count(); n != 0 {
		t.Errorf("%d instances are left", n)
	}
}

// BenchmarkColdImage is from nothing to the answer, of the same program in an image and in an archive.
func BenchmarkColdImage(b *testing.B) {
	l := newLab(b)
	img := l.image("image", image.Launch{Entrypoint: []string{"/srv/guest"}})
	for name, fn := range map[string]Function{"image": img, "archive": l.function("provided.al2023", "archive", string(l.guest))} {
		b.Run(name, func(b *testing.B) {
			l.invoke(fn, `1`)
			for b.Loop() {
				l.Retire(fn.ARN)
				if out := l.invoke(fn, `1`); !out.Cold {
					b.Fatal("it was warm")
				}
			}
		})
	}
}
