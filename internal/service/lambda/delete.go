package lambda

import (
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

func (s *Service) deleteFunction(c *gate.Call, in *lambda.DeleteFunctionInput) (*lambda.DeleteFunctionOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteFunctionOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		out := &lambda.DeleteFunctionOutput{StatusCode: new(int32(204))}
		if r.Qualifier != "" {
			return out, s.deleteVersion(tx, f, r)
		}
		was := f.holds()
		f.Reserved, f.Provisioned = nil, 0
		if err := s.t.hold(tx, f, was, ""); err != nil {
			return nil, err
		}
		held := int64(0)
		for e, err := range s.t.versions.Scan(tx, r.key(), store.Range{}) {
			if err != nil {
				return nil, err
			}
			held += e.Value.Code.counted()
			if err := s.release(tx, e.Value.packages()...); err != nil {
				return nil, err
			}
		}
		if err := s.occupy(tx, r, -held); err != nil {
			return nil, err
		}
		for _, clear := range []func(*store.Tx, store.Key) error{clearing(s.t.versions.Table), clearing(s.t.aliases.Table), clearing(s.t.permissions.Table), clearing(s.t.urls.Table), clearing(s.t.async.Table), clearing(s.t.profiles),
			clearing(s.t.provisioned.Table), clearing(s.t.snaps.Table)} {
			if err := clear(tx, r.key()); err != nil {
				return nil, err
			}
		}
		if err := s.t.retire(tx, f); err != nil {
			return nil, err
		}
		_, err = s.t.functions.Delete(tx, r.key())
		return out, err
	})
	s.nudgeReady(err)
	if err == nil && r.Qualifier == "" {
		s.Runner.Retire(r.functionKey.arn(""))
	}
	return out, err
}

// clearing deletes all rows under a key.
func clearing[T any](t store.Table[T]) func(*store.Tx, store.Key) error {
	return func(tx *store.Tx, under store.Key) error {
		var keys []store.Key
		for e, err := range t.Scan(tx, under, store.Range{}) {
			if err != nil {
				return err
			}
			keys = append(keys, e.Key)
		}
		for _, k := range keys {
			if _, err := t.Delete(tx, k); err != nil {
				return err
			}
		}
		return nil
	}
}
