package image

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Reference names an image: HOST/REPOSITORY with a tag or a digest.
type Reference struct {
	Host       string // with its port, where it has one
	Repository string
	Tag        string // "latest" where neither is given; empty with a digest
	Digest     string // "sha256:…"; empty with a tag
	text       string
}

// maxReference bounds a reference, in bytes.
const maxReference = 512

// errReference is what is wrong with text that names no image.
var errReference = errors.New("it is no reference such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1")

// The forms of names: of hosts as URLs have them, of repositories and tags as the distribution
// specification ("Pulling manifests") does.
var (
	hostForm       = regexp.MustCompile(`^(\[[0-9a-f:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]{1,5})?$`)
	repositoryForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// ParseReference reads a reference. The host must be part of it: there is no standard registry.
func ParseReference(text string) (Reference, error) {
	host, _, ok := strings.Cut(text, "/")
	if len(text) > maxReference || !ok || !strings.ContainsAny(host, ".:") && host != "localhost" || !hostForm.MatchString(host) {
		return Reference{}, errReference
	}
	ref, err := name.ParseReference(text)
	if err != nil {
		return Reference{}, errReference
	}
	r := Reference{Host: ref.Context().RegistryStr(), Repository: ref.Context().RepositoryStr(), text: text}
	if !repositoryForm.MatchString(r.Repository) {
		return Reference{}, errReference
	}
	if d, ok := ref.(name.Digest); ok {
		if r.Digest = d.DigestStr(); !ValidDigest(r.Digest) {
			return Reference{}, errors.New("its digest is not of SHA-256")
		}
		return r, nil
	}
	if r.Tag = ref.Identifier(); !tagForm.MatchString(r.Tag) {
		return Reference{}, errReference
	}
	return r, nil
}

// RegistryHost is a registry's host, with its port where it has one, as references name it.
func RegistryHost(text string) (string, error) {
	r, err := name.NewRegistry(text)
	if err != nil || !hostForm.MatchString(text) {
		return "", errors.New("it is no host such as ghcr.io or localhost:5000")
	}
	return r.RegistryStr(), nil
}

// String is the reference as it was written.
func (r Reference) String() string { return r.text }

// Name is the reference without tag and digest.
func (r Reference) Name() string { return r.Host + "/" + r.Repository }

// own is the form of hosts behind which the images lie that were loaded into an account and region.
var own = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com$`)

// Own is the account and region that a reference of Bastide's own store names.
func (r Reference) Own() (account, region string, ok bool) {
	m := own.FindStringSubmatch(r.Host)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// OwnHost is the host of an account's and region's own images.
func OwnHost(account, region string) string {
	return account + ".dkr.ecr." + region + ".amazonaws.com"
}

// The own store lies in a bucket: the content of images by digest, and for each repository the
// manifests that it has and its tags, whose content is a digest.

// Bucket is where an account's and region's own images lie.
func Bucket(account, region string) string {
	return "bastide-artifacts-" + account + "-" + region
}

// BlobKey is the object of a configuration or layer.
func BlobKey(digest string) string { return "images/blobs/" + hexOf(digest) }

// ManifestKey is the object of a repository's manifest or index.
func ManifestKey(repository, digest string) string {
	return "images/repositories/" + repository + "/manifests/" + hexOf(digest)
}

// TagKey is the object that says which digest a tag names.
func TagKey(repository, tag string) string {
	return "images/repositories/" + repository + "/tags/" + tag
}

func hexOf(digest string) string { return strings.TrimPrefix(digest, algorithm) }

const algorithm = "sha256:"

// ValidDigest tells whether s is a SHA-256 digest as images write it.
func ValidDigest(s string) bool {
	h, ok := strings.CutPrefix(s, algorithm)
	if !ok || len(h) != 64 || strings.ToLower(h) != h {
		return false
	}
	_, err := hex.DecodeString(h)
	return err == nil
}

// checkRepository refuses what registries do not take for a repository's name or tag.
func checkRepository(repository, tag string) error {
	if len(repository) > 256 || !repositoryForm.MatchString(repository) || !tagForm.MatchString(tag) {
		return fmt.Errorf("%q is no NAME:TAG such as app:1", repository+":"+tag)
	}
	return nil
}

// ParseName reads NAME or NAME:TAG of the own store; the tag is "latest" where none is given. What
// names the store's host may.
func ParseName(text, host string) (repository, tag string, err error) {
	text = strings.TrimPrefix(text, host+"/")
	repository, tag, ok := strings.Cut(text, ":")
	if !ok {
		tag = "latest"
	}
	return repository, tag, checkRepository(repository, tag)
}
