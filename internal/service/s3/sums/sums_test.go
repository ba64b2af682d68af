package sums

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/checksum"
)

func sum(algorithm string, b []byte) string {
	h := checksum.New(checksum.Prefix + strings.ToLower(algorithm))
	h.Write(b)
	return checksum.Text(h)
}

func TestCombineIsTheSumOfTheWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for algorithm := range crcs {
		for _, n := range [][2]int{{0, 0}, {5, 0}, {0, 5}, {1, 1}, {1000, 70001}, {65536, 3}} {
			data := make([]byte, n[0]+n[1])
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			got, err := Combine(algorithm, sum(algorithm, data[:n[0]]), sum(algorithm, data[n[0]:]), int64(n[1]))
			if want := sum(algorithm, data); err != nil || got != want {
				t.Errorf("%s of %v: %s, %v; want %s", algorithm, n, got, err, want)
			}
		}
	}
}

func TestCombineRefuses(t *testing.T) {
	for _, c := range [][3]string{{"SHA256", "", ""}, {"CRC32", "AAAA", "AAAAAA=="}, {"CRC32", "AAAAAA==", "!"}} {
		if got, err := Combine(c[0], c[1], c[2], 1); err == nil {
			t.Errorf("%v gave %s", c, got)
		}
	}
}

func TestComposite(t *testing.T) {
	got, err := Composite("CRC32", []string{sum("CRC32", []byte("a")), sum("CRC32", []byte("b"))})
	raw := "\xe8\xb7\xbe\x43\x71\xbe\xef\xf9" // the CRC32s of "a" and "b"
	if want := sum("CRC32", []byte(raw)) + "-2"; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if Size("CRC64NVME") != 8 || Size("SHA1") != 20 || Size("MD5") != 0 || !Whole("CRC32C") || Whole("SHA256") {
		t.Error("sizes")
	}
	if _, err := Composite("MD5", nil); err == nil {
		t.Error("MD5 is no checksum here")
	}
}
