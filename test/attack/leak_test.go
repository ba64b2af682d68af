package attack

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// TestNoSecretsLeft: no secret that was made, used or tried stands readable in the data directory
// or in the log, the owner's own credentials file aside.
func TestNoSecretsLeft(t *testing.T) {
	g := newStage(t)
	ann := g.user("ann", allow("sts:*", "iam:*"))
	session := g.assume(g.role("reader", ownAccount, "", allow("*")), nil)
	wrong := ann
	wrong.SecretAccessKey = "wrongwrongwrongwrongwrongwrongwrongwrong"
	_, err := iam.NewFromConfig(g.as(wrong)).ListUsers(t.Context(), &iam.ListUsersInput{})
	g.refused(err, "SignatureDoesNotMatch", "")
	_, err = iam.NewFromConfig(g.as(session)).ListUsers(t.Context(), &iam.ListUsersInput{})
	g.must(err)
	_, err = iam.NewFromConfig(g.as(ann)).CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("ann")})
	g.must(err)
	c := g.s.Client(t)
	g.must(c.CreateBucket(t.Context(), "attack-leak"))
	const content = "the content of an object, which is sealed at rest"
	g.must(c.PutObject(t.Context(), "attack-leak", "key", []byte(content)))
	secrets := map[string]string{"the administrator's secret": g.s.Admin(t).SecretAccessKey, "a user's secret": ann.SecretAccessKey,
		"a session's secret": session.SecretAccessKey, "a session's token": session.SessionToken, "a wrong secret": wrong.SecretAccessKey,
		"an object's content": content}
	search := func(when string) {
		for name, secret := range secrets {
			if bytes.Contains(g.s.Log.Bytes(), []byte(secret)) {
				t.Errorf("%s: %s is in the log", when, name)
			}
		}
		found := holding(t, g.s.Data, secrets)
		for path, name := range found {
			if filepath.Base(path) != "credentials.json" {
				t.Errorf("%s: %s is in %s", when, name, path)
			}
		}
		if len(found) == 0 {
			t.Errorf("%s: not even the credentials file holds one: the search is broken", when)
		}
	}
	search("while serving")
	g.s.Stop(t)
	search("after the end")
	private(t, g.s.Data)
}

// holding is which files hold one of the secrets.
func holding(t *testing.T, dir string, secrets map[string]string) map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a file of a moment
		}
		for name, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				out[path] = name
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// private wants what the directory holds to be its owner's alone.
func private(t *testing.T, dir string) {
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return // nobody else gets in
	}
	for _, name := range []string{"credentials.json", "root.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v in a directory of %v", name, info.Mode(), dir)
		}
	}
}
