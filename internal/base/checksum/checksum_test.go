package checksum

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// The check values of "123456789": the CRC catalogue's for the CRCs, FIPS 180-4 hashes otherwise.
func TestCheckValues(t *testing.T) {
	for name, want := range map[string]string{
		"crc32":     "cbf43926",
		"crc32c":    "e3069283",
		"crc64nvme": "ae8b14860a799888",
		"sha1":      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		"sha256":    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		h := New(Prefix + name)
		h.Write([]byte("123456789"))
		raw, err := base64.StdEncoding.DecodeString(Text(h))
		if err != nil || hex.EncodeToString(raw) != want {
			t.Errorf("%s = %x, %v; want %s", name, raw, err, want)
		}
	}
	if New(Prefix+"md5") != nil || New("crc32") != nil {
		t.Error("a name that is no checksum made one")
	}
	if got := Name(Prefix + "crc64nvme"); got != "CRC64NVME" {
		t.Errorf("Name = %q", got)
	}
}
