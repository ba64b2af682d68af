package s3

import (
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// TestBucketPolicyBindsToWhoIsThere: a bucket's policy means the role that had the name when it was
// put, and nobody made anew under it; who is not there cannot be named.
func TestBucketPolicyBindsToWhoIsThere(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if _, err := r.client().CreateBucket(ctx, &api.CreateBucketInput{Bucket: "photos",
		CreateBucketConfiguration: &api.CreateBucketConfiguration{LocationConstraint: new(region)}}); err != nil {
		t.Fatal(err)
	}
	const name, id = "READERREADER01", "AROAREADERREADER01"
	readerARN := "arn:aws:iam::" + account + ":role/" + name
	reader := r.user(account, name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`)
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + readerARN + `"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::photos"}]}`
	put := func() error {
		_, err := r.client().PutBucketPolicy(ctx, &api.PutBucketPolicyInput{Bucket: "photos", Policy: doc})
		return err
	}
	if err := put(); !awserr.Is(err, "MalformedPolicy") || !strings.Contains(err.Error(), "Invalid principal in policy") {
		t.Errorf("nobody of that name: %v", err)
	}
	there := func(unique string) {
		r.dir.mu.Lock()
		defer r.dir.mu.Unlock()
		r.dir.ids = map[string]string{readerARN: unique}
		r.dir.version++
	}
	shown := func() string {
		t.Helper()
		out, err := r.client().GetBucketPolicy(ctx, &api.GetBucketPolicyInput{Bucket: "photos"})
		if err != nil {
			t.Fatal(err)
		}
		return *out.Policy
	}
	list := func() error {
		_, err := r.as(reader).client().ListObjectsV2(ctx, &api.ListObjectsV2Input{Bucket: "photos"})
		return err
	}
	denied := func(err error) bool {
		e, ok := err.(*awserr.Error)
		return ok && e.Kind == awserr.AccessDenied
	}
	there(id)
	if err := put(); err != nil || shown() != doc {
		t.Fatalf("%v, shown as %s", err, shown())
	}
	if err := list(); err != nil {
		t.Errorf("the one that was named: %v", err)
	}
	// Put while another had the name, it means that other, whatever the reader is called.
	there("AROAREADERREADER02")
	if got := shown(); got != strings.ReplaceAll(doc, readerARN, id) {
		t.Errorf("with the role made anew shown as %s", got)
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if err := list(); !denied(err) {
		t.Errorf("another of the same name: %v", err)
	}
}
