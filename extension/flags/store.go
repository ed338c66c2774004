// This file keeps overrides in the storage extension: one value holds them all, so what is stored is
// always one state as a whole. One goroutine writes, so that a disk that hangs holds up nobody.

package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/host"
)

const (
	storeKey      = "overrides"
	lastGoodKey   = "definitions"          // the last good definition files
	unreadableKey = "overrides.unreadable" // what could not be read, kept for people
	storeFormat   = 1

	saveTimeout = 5 * time.Second // that an answer waits for the disk
	retryAfter  = time.Second     // between attempts on a disk that fails
)

// errLost is that overrides were stored once and are not there any more.
var errLost = errors.New("the overrides that were stored are lost")

// stored is the value under storeKey.
type stored struct {
	Format    int                 `json:"format"`
	Overrides map[string]override `json:"overrides"`
}

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

// open returns the overrides that are stored. An error that is not about configuration leaves the store
// usable as far as it can be; the caller then starts with migration flags off.
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
	raw, err := client.Get(ctx, storeKey)
	if err != nil {
		s.client = client
		return nil, fmt.Errorf("storage %s: %w", s.cfg.Storage, err), nil
	}
	if raw == nil {
		s.client = client
		if s.marked() {
			trouble = errLost
		}
		return nil, trouble, nil
	}
	overrides, err = decodeOverrides(raw)
	var newer *newerFormatError
	if errors.As(err, &newer) {
		return nil, err, client.Close(ctx) // left alone for the agent that can read it
	}
	s.client = client
	if err != nil {
		return nil, err, client.Set(ctx, unreadableKey, raw)
	}
	return overrides, nil, nil
}

type newerFormatError struct{ format int }

func (e *newerFormatError) Error() string {
	return fmt.Sprintf("stored overrides have format %d, this agent reads %d: they are left alone and changes are not stored", e.format, storeFormat)
}

func decodeOverrides(raw []byte) (map[string]override, error) {
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(raw, &format); err != nil {
		return nil, fmt.Errorf("stored overrides: %w", err)
	}
	if format.Format > storeFormat {
		return nil, &newerFormatError{format.Format}
	}
	var all stored
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("stored overrides: %w", err)
	}
	if all.Format != storeFormat || all.Overrides == nil {
		return nil, fmt.Errorf("stored overrides: not of format %d", storeFormat)
	}
	for name, o := range all.Overrides {
		if err := o.decode(); err != nil {
			return nil, fmt.Errorf("stored override of %q: %w", name, err)
		}
		all.Overrides[name] = o
	}
	return all.Overrides, nil
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
			s.write()
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
	overrides := n.overrides
	if overrides == nil {
		overrides = map[string]override{}
	}
	raw, err := json.Marshal(stored{Format: storeFormat, Overrides: overrides})
	if err != nil {
		return err
	}
	if err := s.client.Set(context.Background(), storeKey, raw); err != nil {
		return err
	}
	return s.mark()
}

// lastGood is definition files as stored: what holds where those on the disk are broken at start.
type lastGood struct {
	Files []string `json:"files"`
	Data  [][]byte `json:"data"`
}

// keepFiles stores good definition files, some time later.
func (s *store) keepFiles(files []string, c contents) {
	if s.client == nil {
		return
	}
	raw, err := json.Marshal(lastGood{Files: files, Data: c.data})
	if err != nil { // strings and bytes always encode
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = raw
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *store) writeFiles() error {
	s.mu.Lock()
	raw := s.files
	s.files = nil
	s.mu.Unlock()
	if raw == nil {
		return nil
	}
	return s.client.Set(context.Background(), lastGoodKey, raw)
}

// goodFiles returns what keepFiles stored last of the same files.
func (s *store) goodFiles(ctx context.Context, files []string) (contents, bool) {
	if s.client == nil {
		return contents{}, false
	}
	raw, err := s.client.Get(ctx, lastGoodKey)
	if err != nil {
		return contents{}, false
	}
	var last lastGood
	if json.Unmarshal(raw, &last) != nil || !slices.Equal(last.Files, files) || len(last.Data) != len(files) {
		return contents{}, false
	}
	return contents{data: last.Data}, true
}

// marked says whether overrides were ever stored.
func (s *store) marked() bool {
	if s.cfg.Marker == "" {
		return false
	}
	_, err := os.Stat(s.cfg.Marker)
	return !errors.Is(err, os.ErrNotExist)
}

const markerText = "The feature_flags extension has stored overrides. While this file exists and the storage has none,\n" +
	"they count as lost, and migration flags start false.\n"

func (s *store) mark() error {
	if s.cfg.Marker == "" || s.marked() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.cfg.Marker), 0o700); err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	if err := os.WriteFile(s.cfg.Marker, []byte(markerText), 0o600); err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	return nil
}

func (s *store) close(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	return s.client.Close(ctx)
}
