package lambda

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) publishVersion(c *gate.Call, in *lambda.PublishVersionInput) (*lambda.FunctionConfiguration, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != nil {
		return nil, notBuilt("PublishTo")
	}
	revision := s.IDs.UUID()
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.FunctionConfiguration, error) {
		if err := s.t.current(tx, k, in.RevisionId); err != nil {
			return nil, err
		}
		f, v, err := s.t.qualified(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		if want := wire.Val(in.CodeSha256); want != "" && want != v.shownSHA() {
			return nil, invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", want, v.shownSHA())
		}
		env, err := s.environment(tx, k, v)
		if err != nil {
			return nil, err
		}
		description := v.Description
		if in.Description != nil {
			description = *in.Description
		}
		made, err := s.publish(tx, &f, v, env, description, revision)
		if err != nil {
			return nil, err
		}
		shown := configuration(k, made, env, made.qualifier())
		f.showTenancy(shown)
		return shown, nil
	})
	s.nudgeReady(err)
	return s.shown(c, k, out, err)
}

// publish makes a version of v, $LATEST, or gives the last one where nothing has changed since.
func (s *Service) publish(tx *store.Tx, f *function, v version, env map[string]string, description, revision string) (version, error) {
	k := f.functionKey
	for e, err := range s.t.versions.Scan(tx, k.key(), store.Range{Reverse: true, Limit: 1}) {
		if err != nil {
			return v, err
		}
		if e.Value.Number == 0 {
			continue
		}
		if same, err := unchanged(e.Value, v); err != nil || same {
			return e.Value, err
		}
	}
	v.Number, v.Revision, v.Description = f.Next, revision, description
	f.Next++
	if err := s.seal(tx, k, &v, env); err != nil {
		return v, err
	}
	if err := s.occupy(tx, k, v.Code.counted()); err != nil {
		return v, err
	}
	if err := s.t.again(tx, v.packages()...); err != nil {
		return v, err
	}
	if v.Snap {
		if err := s.t.snaps.Put(tx, *f, v.Number, snap{v.Number}); err != nil {
			return v, err
		}
	}
	return v, s.t.versions.Put(tx, *f, v.Number, v)
}

// unchanged reports whether a version is what $LATEST is. Every field counts but those of settings
// left out, so that a new one does too.
func unchanged(published, latest version) (bool, error) {
	a, err := json.Marshal(published.settings())
	if err != nil {
		return false, err
	}
	b, err := json.Marshal(latest.settings())
	return bytes.Equal(a, b), err
}

// settings is the version without what tells it from another of the same code and configuration. Its
// environment counts by EnvHash: the sealed form is another in each row.
func (v version) settings() version {
	v.Number, v.Revision, v.Modified, v.Description = 0, "", time.Time{}, ""
	v.Env, v.Signed = nil, nil
	return v
}

func (s *Service) listVersions(c *gate.Call, in *lambda.ListVersionsByFunctionInput) (*lambda.ListVersionsByFunctionOutput, error) {
	r, err := refer(c, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListVersionsByFunctionOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.Versions = []lambda.FunctionConfiguration{}
		if _, err := s.t.find(tx, r); err != nil {
			return err
		}
		for e, err := range s.t.versions.Scan(tx, r.key(), p.from()) {
			if err != nil {
				return err
			}
			if len(out.Versions) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			conf, err := s.listed(tx, r.functionKey, e.Value, e.Value.qualifier())
			if err != nil {
				return err
			}
			out.Versions = append(out.Versions, *conf)
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

// deleteVersion deletes one version that no alias points to.
func (s *Service) deleteVersion(tx *store.Tx, f function, r reference) error {
	n, ok := name.Number(r.Qualifier)
	switch {
	case r.Qualifier == name.Latest:
		return invalid("$LATEST version cannot be deleted without deleting the function.")
	case !ok:
		return invalid("Deletion of aliases is not currently supported.")
	}
	v, err := s.t.version(tx, r.functionKey, n)
	if err != nil {
		return err
	}
	aliases, err := s.t.pointed(tx, r.functionKey, n)
	if err != nil {
		return err
	}
	if len(aliases) > 0 {
		return conflict("Unable to delete version because the following aliases reference it: %v", aliases)
	}
	if err := s.occupy(tx, r, -v.Code.counted()); err != nil {
		return err
	}
	if err := s.release(tx, v.packages()...); err != nil {
		return err
	}
	if f, err = s.t.unprovision(tx, f, r.Qualifier); err != nil {
		return err
	}
	if err := s.t.snaps.Delete(tx, f, n); err != nil {
		return err
	}
	if err := s.t.versions.Delete(tx, f, n); err != nil {
		return err
	}
	if err := s.t.async.Delete(tx, f, r.Qualifier); err != nil {
		return err
	}
	return s.t.permissions.Delete(tx, f, r.Qualifier)
}

// shownSHA is the hash of the version's code as Lambda shows it: an image's digest in hexadecimal.
func (v version) shownSHA() string {
	if v.Image != nil {
		return v.Code.SHA256
	}
	return codeSHA(v.Code.SHA256)
}
