package lambda

import (
	"context"
	"crypto"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Publishers knows the keys of signing profiles.
type Publishers interface {
	// Publisher finds a version of a signing profile by its ARN; nil where there is none.
	Publisher(ctx context.Context, profileVersionARN string) (*Publisher, error)
}

// Publisher is a version of a signing profile.
type Publisher struct {
	Key crypto.PublicKey
	// Revoked: what was signed from then on is not trusted; zero for one that is in force.
	Revoked time.Time
}

// signedPackage says by whom a version's code was signed.
type signedPackage struct{ Profile, Job string }

// showSigned shows by whom the code was signed.
func (v version) showSigned(c *lambda.FunctionConfiguration) {
	if v.Signed != nil {
		c.SigningProfileVersionArn, c.SigningJobArn = &v.Signed.Profile, &v.Signed.Job
	}
}

// wanted is what a function's code must be signed like; nil: no matter.
func (t *tables) wanted(tx *store.Tx, arn string, p place) (*signingConfig, error) {
	if arn == "" {
		return nil, nil
	}
	k, err := referSigning(p, arn)
	if err != nil {
		return nil, err
	}
	c, ok, err := t.signing.Get(tx, k.key())
	if err == nil && !ok {
		err = configNotFound(arn)
	}
	return &c, err
}

// wantedOf is wanted outside a change.
func (s *Service) wantedOf(c *gate.Call, arn string) (conf *signingConfig, err error) {
	err = c.View(func(tx *store.Tx) error {
		conf, err = s.t.wanted(tx, arn, c)
		return err
	})
	return conf, err
}

// update is what a function that is to be changed must be held against, and what it moves to.
type update struct {
	signing string
	conf    *signingConfig
	machine string // version of its runtime, for one that moves with updates
}

// updating reads it; runtime is the one that the function is to have, nil for the one that it has.
func (s *Service) updating(c *gate.Call, k functionKey, runtime *string) (to update, err error) {
	err = c.View(func(tx *store.Tx) error {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return err
		}
		to.signing = f.Signing
		to.conf, err = s.t.wanted(tx, f.Signing, c)
		return err
	})
	if err == nil {
		to.machine, err = s.updatedTo(c, k, runtime)
	}
	return to, err
}

// still refuses a change of a function whose configuration is another by now.
func (t *tables) still(tx *store.Tx, p place, f function, to update) error {
	if f.Signing != to.signing {
		return movedSigning()
	}
	return t.unmoved(tx, p, to.signing, to.conf)
}

// unmoved refuses a change whose code was held against another configuration than there is now.
func (t *tables) unmoved(tx *store.Tx, p place, arn string, conf *signingConfig) error {
	now, err := t.wanted(tx, arn, p)
	if err != nil || now == nil {
		return err
	}
	if conf == nil || now.Policy != conf.Policy || !slices.Equal(now.Publishers, conf.Publishers) {
		return movedSigning()
	}
	return nil
}

func movedSigning() error {
	return conflict("The code signing configuration was changed meanwhile. Please try again.")
}

// verdict is a package that was held against a configuration.
type verdict struct {
	signed *signedPackage // who signed it; nil: nobody who is known
	fault  string         // why it is not trusted; "" where it is
}

// verify holds a package against a configuration before it is deployed. A signature that does not
// belong to the package is refused whatever the configuration says; one that is missing, too old,
// revoked or of somebody else is refused under Enforce, and reported under Warn.
func (s *Service) verify(c *gate.Call, conf *signingConfig, r io.ReaderAt, size int64) (*signedPackage, error) {
	if conf == nil {
		return nil, nil
	}
	v, err := s.judge(c.Context(), conf, r, size)
	if _, bad := errors.AsType[*pack.BrokenError](err); bad {
		return nil, awserr.New("InvalidCodeSignatureException", 400, "The code signature failed the integrity check. If the integrity check fails, then Lambda blocks deployment, even if the code signing policy is set to WARN.")
	}
	if err != nil {
		return nil, refusedArchive(err)
	}
	if v.fault == "" {
		return v.signed, nil
	}
	if conf.Policy == signEnforce {
		return nil, awserr.New("CodeVerificationFailedException", 400, "The code signature failed one or more of the validation checks for signature mismatch or expiry, and the code signing policy is set to ENFORCE. Lambda blocks the deployment. (%s)", v.fault)
	}
	s.Log.Warn("lambda: code is deployed that is not signed as its code signing configuration wants", "configuration", conf.ID, "why", v.fault, "request", c.RequestID())
	return v.signed, nil
}

func (s *Service) judge(ctx context.Context, conf *signingConfig, r io.ReaderAt, size int64) (verdict, error) {
	sig, err := pack.ReadSignature(r, size, pack.Limits{Unzipped: pack.MaxUnzipped, Entries: pack.MaxEntries})
	if errors.Is(err, pack.ErrUnsigned) {
		return verdict{fault: "the package is not signed"}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	profile := sig.Claims.Profile
	if !slices.Contains(conf.Publishers, profile) {
		return verdict{fault: "it is signed by another signing profile than those allowed"}, nil
	}
	if s.Publishers == nil {
		return verdict{fault: "no signing profiles are known here"}, nil
	}
	p, err := s.Publishers.Publisher(ctx, profile)
	if err != nil {
		return verdict{}, err
	}
	if p == nil {
		return verdict{fault: "the signing profile that it is signed by is not known here"}, nil
	}
	if err := sig.Verify(p.Key); err != nil {
		return verdict{}, err
	}
	v := verdict{signed: &signedPackage{profile, sig.Claims.Job}}
	switch {
	case sig.Claims.Expired(s.Clock.Now()):
		v.fault = "its signature has expired"
	case !p.Revoked.IsZero() && sig.Claims.Signed >= p.Revoked.Unix():
		v.fault = "its signing profile was revoked"
	}
	return v, nil
}

// verifyLayers holds the layers that a function is to use against its configuration.
func (s *Service) verifyLayers(c *gate.Call, conf *signingConfig, arns []string) error {
	if conf == nil {
		return nil
	}
	var blobs []needed
	err := c.View(func(tx *store.Tx) error {
		blobs = nil
		uses, err := s.t.resolveLayers(tx, arns)
		if err != nil {
			return err
		}
		for _, u := range uses {
			a, ok, err := s.t.archives.Get(tx, archiveKey(u.SHA256))
			if err != nil || !ok {
				return orElse(err, errGone)
			}
			blobs = append(blobs, needed{packageUse: u.packageUse, blob: a.Blob.ID})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if err := s.verifyBlob(c, conf, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) verifyBlob(c *gate.Call, conf *signingConfig, b needed) error {
	f, err := s.Blobs.Open(b.blob)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.verify(c, conf, f, b.Size)
	return err
}
