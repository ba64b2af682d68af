package s3

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
)

func headOf(t *testing.T, c gate.Client, bucket, key string) (*api.HeadObjectOutput, error) {
	t.Helper()
	return api.Client{Caller: c}.HeadObject(t.Context(), &api.HeadObjectInput{Bucket: bucket, Key: key})
}

// expected is what a listing gives, worked out the simple way.
func expected(keys []string, prefix, delimiter string) []string {
	var out []string
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			k = k[:len(prefix)+i+len(delimiter)]
		}
		if len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

func TestListingsMatchTheSimpleWay(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	random := rand.New(rand.NewPCG(5, 6))
	c := r.client()
	var keys []string
	for range 60 {
		var k strings.Builder
		for range 1 + random.IntN(6) {
			k.WriteByte("ab/-\xc3"[random.IntN(4)])
		}
		if slices.Contains(keys, k.String()) {
			continue
		}
		keys = append(keys, k.String())
		if _, err := c.PutObject(t.Context(), &api.PutObjectInput{Bucket: "photos", Key: k.String(), Body: strings.NewReader("")}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(keys)
	for _, delimiter := range []string{"", "/", "a/", "-"} {
		for _, prefix := range []string{"", "a", "a/", "/", "b-", "none"} {
			for _, limit := range []int32{1, 3, 1000} {
				want := expected(keys, prefix, delimiter)
				if got := listV2(t, c, prefix, delimiter, limit); !slices.Equal(got, want) {
					t.Errorf("V2 of %q by %q, %d a page:\n got %q\nwant %q", prefix, delimiter, limit, got, want)
				}
				if got := listV1(t, c, prefix, delimiter, limit); !slices.Equal(got, want) {
					t.Errorf("V1 of %q by %q, %d a page:\n got %q\nwant %q", prefix, delimiter, limit, got, want)
				}
			}
		}
	}
	for _, after := range []string{"", "a", keys[7], keys[len(keys)-1]} {
		out, err := c.ListObjectsV2(t.Context(), &api.ListObjectsV2Input{Bucket: "photos", StartAfter: &after})
		i, found := slices.BinarySearch(keys, after)
		if found {
			i++
		}
		if err != nil || len(out.Contents) != len(keys)-i {
			t.Errorf("after %q: %d, %v; want %d", after, len(out.Contents), err, len(keys)-i)
		}
	}
}

// merged are a page's keys and common prefixes in their common order.
func merged(contents []api.Object, prefixes []api.CommonPrefix) []string {
	var out []string
	for _, o := range contents {
		out = append(out, *o.Key)
	}
	for _, p := range prefixes {
		out = append(out, *p.Prefix)
	}
	slices.Sort(out)
	return out
}

func listV2(t *testing.T, c api.Client, prefix, delimiter string, limit int32) (all []string) {
	t.Helper()
	in := &api.ListObjectsV2Input{Bucket: "photos", Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &limit}
	for {
		out, err := c.ListObjectsV2(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, merged(out.Contents, out.CommonPrefixes)...)
		if in.ContinuationToken = out.NextContinuationToken; !*out.IsTruncated {
			return all
		}
	}
}

func listV1(t *testing.T, c api.Client, prefix, delimiter string, limit int32) (all []string) {
	t.Helper()
	in := &api.ListObjectsInput{Bucket: "photos", Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &limit}
	for {
		out, err := c.ListObjects(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		page := merged(out.Contents, out.CommonPrefixes)
		all = append(all, page...)
		if !*out.IsTruncated {
			return all
		}
		if in.Marker = out.NextMarker; in.Marker == nil {
			in.Marker = &page[len(page)-1]
		}
	}
}

func TestListingForms(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/a%20%2B%26%C3%BC/x", "1")
	a := r.ok("GET /photos?list-type=2&delimiter=/&encoding-type=url", "")
	if !strings.Contains(a.body, "<Prefix>a+%2B%26%C3%BC/</Prefix>") || !strings.Contains(a.body, "<EncodingType>url</EncodingType>") {
		t.Errorf("%s", a.body)
	}
	a = r.ok("GET /photos?list-type=2&max-keys=0", "")
	if !strings.Contains(a.body, "<KeyCount>0</KeyCount>") || !strings.Contains(a.body, "<IsTruncated>false</IsTruncated>") {
		t.Errorf("%s", a.body)
	}
	r.fails(400, "InvalidArgument", "GET /photos?list-type=2&max-keys=-1", "")
	r.fails(400, "InvalidArgument", "GET /photos?list-type=2&encoding-type=rot13", "")
	r.fails(400, "InvalidArgument", "GET /photos?list-type=2&continuation-token=x", "")
	r.fails(400, "InvalidArgument", "GET /photos?versions&version-id-marker=x", "")
	if a := r.ok("GET /photos?list-type=2&fetch-owner=true", ""); !strings.Contains(a.body, "<Owner><ID>"+*owner(account).ID) {
		t.Errorf("%s", a.body)
	}
}

// model is a key's versions, newest first, kept the simple way.
type model struct{ id, body string } // body "†" is a delete marker

func TestVersionsMatchTheSimpleWay(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	random := rand.New(rand.NewPCG(7, 8))
	keys := map[string][]model{"a": nil, "b": nil}
	state := ""
	for i := range 250 {
		key := string("ab"[random.IntN(2)])
		list := keys[key]
		switch random.IntN(8) {
		case 0:
			state = []string{"Enabled", "Suspended"}[random.IntN(2)]
			r.ok("PUT /photos?versioning", "<VersioningConfiguration><Status>"+state+"</Status></VersioningConfiguration>")
		case 1, 2, 3:
			body := fmt.Sprint(i)
			id := r.ok("PUT /photos/"+key, body).header.Get("x-amz-version-id")
			keys[key] = pushed(list, state, model{id, body})
		case 4, 5:
			a := r.ok("DELETE /photos/"+key, "")
			if id := a.header.Get("x-amz-version-id"); state != "" {
				keys[key] = pushed(list, state, model{id, "†"})
			} else {
				keys[key] = nil
			}
		default:
			if len(list) == 0 || list[0].id == "" {
				continue
			}
			j := random.IntN(len(list))
			r.ok("DELETE /photos/"+key+"?versionId="+list[j].id, "")
			keys[key] = slices.Delete(slices.Clone(list), j, j+1)
		}
		if i%10 == 9 {
			r.compare(keys)
		}
	}
	r.empties(keys)
}

func pushed(list []model, state string, m model) []model {
	if state != enabled {
		m.id = nullVersion
	}
	out := []model{m}
	for _, old := range list {
		if old.id == "" {
			old.id = nullVersion
		}
		if old.id != m.id {
			out = append(out, old)
		}
	}
	return out
}

// compare asks for every version by itself, and for the pages of all.
func (r *rig) compare(keys map[string][]model) {
	r.Helper()
	var want []string
	for _, key := range []string{"a", "b"} {
		for i, m := range keys[key] {
			want = append(want, fmt.Sprint(key, " ", m.id, " ", i == 0))
			path := "/photos/" + key + "?versionId=" + m.id
			if m.body == "†" {
				r.fails(405, "MethodNotAllowed", "GET "+path, "")
				if i == 0 && r.fails(404, "NoSuchKey", "GET /photos/"+key, "").header.Get("x-amz-delete-marker") != "true" {
					r.Error("a delete marker is not told")
				}
				continue
			}
			r.reads(path, m.body)
			if i == 0 {
				r.reads("/photos/"+key, m.body)
			}
		}
	}
	slices.Sort(want)
	for _, limit := range []int32{1, 2, 1000} {
		var got []string
		in := &api.ListObjectVersionsInput{Bucket: "photos", MaxKeys: &limit}
		for {
			out, err := r.client().ListObjectVersions(r.Context(), in)
			if err != nil {
				r.Fatal(err)
			}
			for _, v := range out.Versions {
				got = append(got, fmt.Sprint(*v.Key, " ", *v.VersionId, " ", *v.IsLatest))
			}
			for _, v := range out.DeleteMarkers {
				got = append(got, fmt.Sprint(*v.Key, " ", *v.VersionId, " ", *v.IsLatest))
			}
			if in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker; !*out.IsTruncated {
				break
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			r.Errorf("%d a page:\n got %q\nwant %q", limit, got, want)
		}
	}
}

// empties deletes every version; then the bucket can go, and nothing of it is left.
func (r *rig) empties(keys map[string][]model) {
	r.Helper()
	for key, list := range keys {
		for _, m := range list {
			r.ok("DELETE /photos/"+key+"?versionId="+m.id, "")
		}
	}
	r.ok("DELETE /photos", "")
}
