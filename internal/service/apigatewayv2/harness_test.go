package apigatewayv2

import (
	"testing"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate/gatetest"
)

const (
	account = gatetest.Account
	region  = gatetest.Region
	fn      = "arn:aws:lambda:eu-west-1:123456789012:function:tasks"
	fnPath  = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/" + fn + "/invocations"
)

// rig is the service behind a real gate and store.
type rig struct {
	*testing.T
	v2.Client
	*gatetest.Door
	service   *Service
	directory *Directory
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, Door: gatetest.Open(t), service: New(Deps{})}
	r.Serve(r.service.Unit())
	r.Client = v2.Client{Caller: r.Session()}
	r.directory = NewDirectory(r.service, r.DB)
	return r
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func refused(t testing.TB, err error, code, part string) {
	t.Helper()
	gatetest.Refused(t, err, code, part)
}
