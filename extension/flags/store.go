// This file keeps overrides in the storage extension: one value holds them all, so what is stored is
// always one state as a whole. One goroutine writes, so that a disk that hangs holds up nobody.

package flags

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/host"
)

const (
	storeKey      = "overrides"
	unreadableKey = "overrides.unreadable" // what could not be read, kept for people

	saveTimeout = 5 * time.Second // that an answer waits for the disk
	retryAfter  = time.Second     // between attempts on a disk that fails
)

// store writes the overrides of the latest state. Without a storage extension it writes nothing.
type store struct {
	cfg    *Config
	logger *zap.Logger
	client storage.Client // nil: nothing can be stored

	mu      sync.Mutex
	latest  *state        // to be written
	written uint64        // version that is on the disk
	files   []byte        // definition files to be written, nil: none
	err     error         // of the last attempt
	changed chan struct{} // closed and replaced when written or err changes
	wake    chan struct{}
}

func newStore(cfg *Config, logger *zap.Logger) *store {
	return &store{
		cfg:     cfg,
		logger:  logger,
		changed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

// open returns the overrides that are stored, and what was the trouble with them: the caller then starts
// with migration flags off, and the store stores what it can. err is an error of the configuration.
func (s *store) open(ctx context.Context, h component.Host, self component.ID) (overrides map[string]override, trouble, err error) {
	if s.cfg.Storage == nil {
		return nil, nil, nil
	}
	ext, err := host.Extension[storage.Extension](h, "storage", *s.cfg.Storage)
	if err != nil {
		return nil, nil, err
	}
	client, err := ext.GetClient(ctx, component.KindExtension, self, "")
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", s.cfg.Storage, err), nil
	}
	overrides, trouble = s.read(ctx, client)
	var newer *newerFormatError
	if errors.As(trouble, &newer) { // left alone for the agent that can read it
		return nil, errors.Join(trouble, client.Close(ctx)), nil
	}
	s.client = client
	return overrides, trouble, nil
}

func (s *store) read(ctx context.Context, client storage.Client) (map[string]override, error) {
	raw, err := client.Get(ctx, storeKey)
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", s.cfg.Storage, err)
	}
	if raw == nil {
		if s.marked() {
			return nil, errLost
		}
		return nil, nil
	}
	overrides, err := decodeOverrides(raw)
	var newer *newerFormatError
	if err != nil && !errors.As(err, &newer) {
		err = errors.Join(err, client.Set(ctx, unreadableKey, raw))
	}
	return overrides, err
}

// save waits until n, or a later state, is stored, and reports whether it is.
func (s *store) save(n *state) (persisted bool) {
	if s.client == nil {
		return false
	}
	s.offer(n)
	timeout := time.NewTimer(saveTimeout)
	defer timeout.Stop()
	for {
		persisted, failed, changed := s.outcome(n.version)
		if persisted || failed {
			return persisted
		}
		select {
		case <-changed:
		case <-timeout.C:
			return false
		}
	}
}

// offer makes n what is written next, unless a later state already is.
func (s *store) offer(n *state) {
	if s.client == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil || s.latest.version < n.version {
		s.latest = n
		s.err = nil // an attempt with this state is still to come
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *store) outcome(version uint64) (persisted, failed bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written >= version, s.err != nil, s.changed
}

// durable says whether all overrides are stored, and if not, why.
func (s *store) durable() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client != nil && (s.latest == nil || s.written >= s.latest.version), s.err
}

// run writes until stop is closed. What could not be written is tried again.
func (s *store) run(stop <-chan struct{}) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-stop:
			_ = s.write() // it has logged why
			return
		case <-s.wake:
		case <-retry.C:
		}
		if err := s.write(); err != nil {
			retry.Reset(retryAfter)
		}
	}
}

func (s *store) write() error {
	if err := s.writeFiles(); err != nil {
		s.logger.Warn("Flag definitions could not be stored", zap.Error(err)) // the overrides matter more
	}
	s.mu.Lock()
	n := s.latest
	done := n == nil || s.written >= n.version
	s.mu.Unlock()
	if done {
		return nil
	}
	err := s.writeState(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.logger.Error("Overrides of flags could not be stored: they hold in memory only", zap.Error(err))
	}
	s.err = err
	if err == nil {
		s.written = n.version
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return err
}

func (s *store) writeState(n *state) error {
	raw, err := encodeOverrides(n.overrides)
	if err != nil {
		return err
	}
	if err := s.client.Set(context.Background(), storeKey, raw); err != nil {
		return err
	}
	return s.mark()
}

func (s *store) close(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	return s.client.Close(ctx)
}
