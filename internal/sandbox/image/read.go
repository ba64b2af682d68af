package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Source gives the parts of what a reference names. It need not check them; Read does.
type Source interface {
	// Manifest is a manifest or an index: the one of a digest, or with "" the one that is named.
	Manifest(ctx context.Context, digest string) ([]byte, error)
	// Blob opens a configuration or layer.
	Blob(ctx context.Context, digest string) (io.ReadCloser, error)
}

// Platform is what a program was built for, in Go's words.
type Platform struct{ OS, Architecture string }

// Here is this machine's.
func Here() Platform { return Platform{"linux", runtime.GOARCH} }

func (p Platform) String() string { return p.OS + "/" + p.Architecture }

// Image is an image whose manifest and configuration have been read and checked.
type Image struct {
	Digest   string // of the manifest
	Manifest []byte
	Config   []byte
	Layers   []Layer // lowest first
	Launch   Launch
}

// Layer is one archive of an image.
type Layer struct {
	Digest string // of the archive as it is stored, compressed or not
	DiffID string // of the archive uncompressed
	Size   int64  // as it is stored, in bytes
}

// Launch is what an image says of its program.
type Launch struct {
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
	Dir        string   `json:",omitempty"`
	Env        []string `json:",omitempty"` // NAME=value
}

// Error is an image that is refused: it is broken, or made for something else.
type Error struct{ Message string }

func (e *Error) Error() string { return "image: " + e.Message }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Limits of what is read whole, and of an image's parts.
const (
	maxManifest = 4 << 20 // bytes, as registries bound it
	maxConfig   = 8 << 20
	maxLayers   = 128 // Docker makes at most 127
	maxIndex    = 256
	maxLaunch   = 64 << 10 // bytes of entry point, command and environment
)

// Size is all of the image as it is stored, in bytes.
func (i *Image) Size() int64 {
	n := int64(len(i.Manifest) + len(i.Config))
	for _, l := range i.Layers {
		n += l.Size
	}
	return n
}

// Read reads the image that src names: of an index, the one for want. With a digest in pinned, what is
// read must be that. Errors: *Error for an image that is refused, or src's.
func Read(ctx context.Context, src Source, pinned string, want Platform) (*Image, error) {
	raw, err := src.Manifest(ctx, pinned)
	if err != nil {
		return nil, err
	}
	if pinned != "" {
		if err := same(raw, pinned, "manifest"); err != nil {
			return nil, err
		}
	}
	index, err := parseIndex(raw)
	if err != nil {
		return nil, err
	}
	if index != nil {
		digest, err := choose(index, want)
		if err != nil {
			return nil, err
		}
		if raw, err = src.Manifest(ctx, digest); err != nil {
			return nil, err
		}
		if err := same(raw, digest, "manifest"); err != nil {
			return nil, err
		}
	}
	return readManifest(ctx, src, raw, want)
}

func same(raw []byte, digest, what string) error {
	if got := DigestOf(raw); got != digest {
		return refuse("its %s has the digest %s, not %s", what, got, digest)
	}
	return nil
}

// DigestOf is the digest of a manifest, configuration or archive.
func DigestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return algorithm + hex.EncodeToString(sum[:])
}

// parseIndex reads an index; nil where raw is a manifest.
func parseIndex(raw []byte) (*v1.IndexManifest, error) {
	if len(raw) > maxManifest {
		return nil, refuse("its manifest is larger than %d bytes", maxManifest)
	}
	ix, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, refuse("its manifest cannot be read: %v", err)
	}
	isIndex := ix.MediaType.IsIndex() || ix.MediaType == "" && ix.Manifests != nil
	if !isIndex {
		return nil, nil
	}
	// Of a document that may be read both ways, others may have checked the other one.
	if m, err := v1.ParseManifest(bytes.NewReader(raw)); err != nil || m.Layers != nil || m.Config.Digest.Hex != "" {
		return nil, refuse("it is manifest and index at once")
	}
	if len(ix.Manifests) > maxIndex {
		return nil, refuse("its index has more than %d entries", maxIndex)
	}
	return ix, nil
}

// choose is the image of an index that runs here.
func choose(ix *v1.IndexManifest, want Platform) (string, error) {
	var have []string
	for _, d := range ix.Manifests {
		if !d.MediaType.IsImage() {
			continue
		}
		if d.Platform == nil {
			if len(ix.Manifests) == 1 {
				return ownDigest(d) // its configuration says what it is for
			}
			continue
		}
		if d.Platform.OS == want.OS && d.Platform.Architecture == want.Architecture && plainVariant(d.Platform.Variant, want) {
			return ownDigest(d)
		}
		if d.Platform.OS != "unknown" { // attestations say so of themselves
			have = append(have, d.Platform.String())
		}
	}
	return "", refuse("it is made for %v, and this machine is %s", have, want)
}

// plainVariant tells whether every machine of the architecture runs a variant.
func plainVariant(variant string, want Platform) bool {
	return variant == "" || want.Architecture == "amd64" && variant == "v1" || want.Architecture == "arm64" && variant == "v8"
}

func ownDigest(d v1.Descriptor) (string, error) {
	if s := d.Digest.String(); ValidDigest(s) {
		return s, nil
	}
	return "", refuse("the digest %s is not of SHA-256", d.Digest)
}

func readManifest(ctx context.Context, src Source, raw []byte, want Platform) (*Image, error) {
	if len(raw) > maxManifest {
		return nil, refuse("its manifest is larger than %d bytes", maxManifest)
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, refuse("its manifest cannot be read: %v", err)
	}
	if m.SchemaVersion != 2 || m.MediaType != "" && !m.MediaType.IsImage() || m.Config.Digest.Hex == "" {
		return nil, refuse("its manifest is none of a container image (media type %q, version %d)", m.MediaType, m.SchemaVersion)
	}
	if !slices.Contains([]types.MediaType{types.OCIConfigJSON, types.DockerConfigJSON}, m.Config.MediaType) {
		return nil, refuse("it is an artifact of the type %q, not a container image", m.Config.MediaType)
	}
	img := &Image{Digest: DigestOf(raw), Manifest: raw}
	if img.Layers, err = layersOf(m); err != nil {
		return nil, err
	}
	digest, err := ownDigest(m.Config)
	if err != nil {
		return nil, err
	}
	if img.Config, err = whole(ctx, src, digest, m.Config.Size); err != nil {
		return nil, err
	}
	return img, img.readConfig(want)
}

// layersOf are the layers of a manifest, without what only the configuration tells.
func layersOf(m *v1.Manifest) ([]Layer, error) {
	if len(m.Layers) == 0 || len(m.Layers) > maxLayers {
		return nil, refuse("it has %d layers, and may have 1 to %d", len(m.Layers), maxLayers)
	}
	var out []Layer
	for _, d := range m.Layers {
		digest, err := ownDigest(d)
		if err != nil {
			return nil, err
		}
		if len(d.URLs) > 0 || !d.MediaType.IsDistributable() || !d.MediaType.IsLayer() {
			return nil, refuse("the layer %s is of the type %q", digest, d.MediaType)
		}
		if d.Size <= 0 || d.Size > maxBytes {
			return nil, refuse("the layer %s says that it has %d bytes", digest, d.Size)
		}
		out = append(out, Layer{Digest: digest, Size: d.Size})
	}
	return out, nil
}

// whole reads a small blob.
func whole(ctx context.Context, src Source, digest string, size int64) ([]byte, error) {
	if size <= 0 || size > maxConfig {
		return nil, refuse("its configuration says that it has %d bytes", size)
	}
	r, err := src.Blob(ctx, digest)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, size+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return b, same(b, digest, "configuration")
}

func (i *Image) readConfig(want Platform) error {
	c, err := v1.ParseConfigFile(bytes.NewReader(i.Config))
	if err != nil {
		return refuse("its configuration cannot be read: %v", err)
	}
	if c.OS != want.OS || c.Architecture != want.Architecture {
		return refuse("it is made for %s/%s, and this machine is %s", c.OS, c.Architecture, want)
	}
	if c.RootFS.Type != "layers" || len(c.RootFS.DiffIDs) != len(i.Layers) {
		return refuse("its configuration is of %d layers, and its manifest has %d", len(c.RootFS.DiffIDs), len(i.Layers))
	}
	for n, id := range c.RootFS.DiffIDs {
		if i.Layers[n].DiffID = id.String(); !ValidDigest(i.Layers[n].DiffID) {
			return refuse("the digest %s is not of SHA-256", id)
		}
	}
	i.Launch = Launch{Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, Dir: c.Config.WorkingDir, Env: c.Config.Env}
	size := len(i.Launch.Dir)
	for _, list := range [][]string{i.Launch.Entrypoint, i.Launch.Cmd, i.Launch.Env} {
		for _, s := range list {
			if size += len(s) + 1; bytes.IndexByte([]byte(s), 0) >= 0 {
				return refuse("its entry point, command or environment holds a zero byte")
			}
		}
	}
	if size > maxLaunch {
		return refuse("its entry point, command and environment are larger than %d bytes", maxLaunch)
	}
	return nil
}
