package foundation

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/receiver"
)

// A receiver that is in a logs and in a traces pipeline is one: there is one door. The pipelines of one
// service share it by their configuration's pointer.
var (
	sharedMu sync.Mutex
	shared   = map[*Config]*sharedReceiver{}
)

// sharedReceiver opens the door when the last pipeline that uses it starts, and closes it when the first
// stops: what comes in always finds every pipeline whole.
type sharedReceiver struct {
	*foundationReceiver
	cfg *Config

	mu      sync.Mutex
	waiting int // pipelines that have not started yet
	stop    sync.Once
	stopErr error
}

// shareReceiver returns cfg's receiver, made at the first call, for one more pipeline.
func shareReceiver(cfg *Config, set receiver.Settings) (*sharedReceiver, error) {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	s, ok := shared[cfg]
	if !ok {
		r, err := newReceiver(cfg, set)
		if err != nil {
			return nil, err
		}
		s = &sharedReceiver{foundationReceiver: r, cfg: cfg}
		shared[cfg] = s
	}
	s.waiting++
	return s, nil
}

// Start implements component.Component.
func (s *sharedReceiver) Start(ctx context.Context, host component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting--; s.waiting > 0 {
		return nil
	}
	return s.start(ctx, host)
}

// Shutdown implements component.Component.
func (s *sharedReceiver) Shutdown(ctx context.Context) error {
	s.stop.Do(func() {
		sharedMu.Lock()
		delete(shared, s.cfg)
		sharedMu.Unlock()
		s.stopErr = s.shutdown(ctx)
	})
	return s.stopErr
}
