package lambda

import (
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// imageUse is the container image that a version has in place of an archive. Its packageUse has the
// digest of the manifest for SHA256.
type imageUse struct {
	URI      string              // as it was asked for
	Resolved string              // the same by its digest
	Launch   image.Launch        // what the image says of its program
	Set      *lambda.ImageConfig `json:",omitempty"` // what the function's configuration sets instead
}

// keptImage is an image as it is kept, once however many versions use it. Like an archive it has no
// account. Who names one has been shown to have all of it: see fetchImage.
type keptImage struct {
	Layers []keptLayer // lowest first
	Uses   int64
}

// keptLayer is one layer of an image.
type keptLayer struct {
	Digest, DiffID string
	Size           int64
}

// layerBlob is a layer's bytes, kept once however many images have it.
type layerBlob struct {
	Blob blob.Ref
	Uses int64
}

// imageTables hold images: by the hash of the manifest in hex, and by a layer's digest.
type imageTables struct {
	images store.Table[keptImage]
	layers store.Table[layerBlob]
}

func newImageTables() imageTables {
	return imageTables{images: store.NewTable[keptImage](space, "images"), layers: store.NewTable[layerBlob](space, "imageLayers")}
}

func imageKey(sha string) store.Key { return store.K(sha) }

func imageLayerKey(digest string) store.Key { return store.K(digest) }
