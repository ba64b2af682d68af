package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// rootFile is the certificate of the authority for this machine's own names, for who wants to
// trust it: curl --cacert, AWS_CA_BUNDLE, or the system's trust store.
const rootFile = "localhost-root.pem"

// tlsConfig answers TLS with the given certificate, or with ones minted for this machine's names
// by an authority that is constrained to them.
func (s *Server) tlsConfig(ctx context.Context) (*tls.Config, error) {
	if s.cfg.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
	}
	authority, err := s.localAuthority(ctx)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Root().Raw})
	if err := os.WriteFile(filepath.Join(s.cfg.Data, rootFile), cert, 0o600); err != nil {
		return nil, err
	}
	return authority.ServerConfig(), nil
}

// exported is an authority as it is kept, sealed.
type exported struct{ Key, Cert []byte }

func (s *Server) localAuthority(ctx context.Context) (a *ca.Authority, err error) {
	const purpose = "localhost-root"
	aad := []byte("app secret " + purpose)
	err = s.db.Update(ctx, store.In("app"), func(tx *store.Tx) error {
		sealed, ok, err := secrets().Get(tx, store.K(purpose))
		if err != nil {
			return err
		}
		var e exported
		if ok {
			raw, err := s.sealer.Open(tx, aad, sealed)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			a, err = ca.Import(s.clock, e.Key, e.Cert)
			return err
		}
		if a, err = ca.NewLocal(s.clock); err != nil {
			return err
		}
		if e.Key, e.Cert, err = a.Export(); err != nil {
			return err
		}
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if sealed, err = s.sealer.Seal(tx, sealing.Scope{Resource: "app/" + purpose}, aad, raw); err != nil {
			return err
		}
		return secrets().Put(tx, store.K(purpose), sealed)
	})
	return a, err
}
