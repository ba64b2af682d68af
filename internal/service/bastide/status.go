package bastide

import (
	"context"
	"errors"
	"io"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/gate"
)

func (s *Service) getStatus(c *gate.Call, _ *bastide.GetStatusInput) (*bastide.GetStatusOutput, error) {
	st, err := s.Server.Status(c.Context())
	if err != nil {
		return nil, err
	}
	return &bastide.GetStatusOutput{Version: &st.Version, Account: &st.Account, StartedAt: &st.StartedAt, OpenCredentials: &st.OpenCredentials,
		Services: st.Services, Waived: st.Waived, Goroutines: new(int32(st.Goroutines)), Descriptors: new(int32(st.Descriptors)),
		ResidentBytes: &st.Resident, Instances: new(int32(st.Instances)), InstancesIdle: new(int32(st.Idle)), Pool: st.Pool.shape()}, nil
}

func (p Pool) shape() *bastide.PoolStatus {
	out := &bastide.PoolStatus{Size: new(int32(p.Size)), MemoryBytes: &p.Memory, Ready: new(int32(p.Ready)), Starting: new(int32(p.Starting)),
		HeldBytes: &p.Held, Hits: &p.Hits, Misses: &p.Misses, Bypasses: &p.Bypasses, Died: &p.Died}
	for _, k := range p.Kinds {
		kind := bastide.PoolKind{Name: &k.Name, Ready: new(int32(k.Ready)), Starting: new(int32(k.Starting)), HeldBytes: &k.Held}
		if k.Failure != "" {
			kind.Failure = &k.Failure
		}
		out.Kinds = append(out.Kinds, kind)
	}
	return out
}

func (s *Service) reset(c *gate.Call, _ *bastide.ResetInput) (*bastide.ResetOutput, error) {
	return &bastide.ResetOutput{}, s.Server.Reset(c.Context(), c.Empty)
}

// createBackup streams: what cannot be written any more cuts the answer off, which its reader
// sees, rather than ending it as if it were whole.
func (s *Service) createBackup(c *gate.Call, _ *bastide.CreateBackupInput) (*bastide.CreateBackupOutput, error) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(c.Context())
	go func() {
		err := s.Server.Backup(ctx, w)
		w.CloseWithError(err)
	}()
	return &bastide.CreateBackupOutput{Body: &backup{r, cancel}}, nil
}

type backup struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close ends a backup whose reader has gone away.
func (b *backup) Close() error {
	b.cancel()
	return b.PipeReader.CloseWithError(errors.New("bastide: the backup's reader has gone away"))
}
