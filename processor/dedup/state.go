// This file keeps the state in a storage extension, and takes it back at the start.

package dedup

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/journal"
)

// state is the stored side of a processor.
type state struct {
	p      *dedupProcessor
	client storage.Client
	log    *journal.Log
	secret secret // as stored; zero where none
}

// storing holds the configurations whose state is in use. A storage holds the state of one processor by its ID, and
// the processor does not know its pipeline: in two pipelines it could not tell whose state is whose.
var storing = struct {
	mu sync.Mutex
	by map[*Config]bool
}{by: map[*Config]bool{}}

func claimStorage(cfg *Config) bool {
	storing.mu.Lock()
	defer storing.mu.Unlock()
	if storing.by[cfg] {
		return false
	}
	storing.by[cfg] = true
	return true
}

func releaseStorage(cfg *Config) {
	storing.mu.Lock()
	defer storing.mu.Unlock()
	delete(storing.by, cfg)
}

// openState restores what is stored and begins to write what changes.
func (p *dedupProcessor) openState(ctx context.Context, h component.Host) error {
	ext, err := host.Extension[storage.Extension](h, "storage", *p.cfg.Storage)
	if err != nil {
		return err
	}
	if !claimStorage(p.cfg) {
		return fmt.Errorf("storage: %q is in two pipelines, which cannot share stored state; give each pipeline an event_dedup of its own (event_dedup/name)", p.set.ID)
	}
	s := &state{p: p}
	if s.client, err = ext.GetClient(ctx, component.KindProcessor, p.set.ID, ""); err != nil {
		releaseStorage(p.cfg)
		return fmt.Errorf("storage: %w", err)
	}
	for _, shard := range p.table.shards {
		shard.changes.on = true
	}
	for _, r := range p.rules {
		if r.reservoir != nil {
			r.reservoir.changed = map[int]struct{}{}
		}
	}
	p.state = s
	restored := newRestorer(p)
	s.log, err = journal.Open(ctx, s.client, journal.Config{
		Interval: p.cfg.StorageInterval,
		Format:   stateFormat,
		Snapshot: s.snapshot,
		Collect:  s.collect,
		Logger:   p.set.Logger,
	}, restored.apply)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	restored.finish()
	s.log.Append(encodeSecret(nil, p.secret))
	return nil
}

// collect appends what has changed since the last write.
func (s *state) collect(append func(record []byte)) {
	var buf []byte
	for _, t := range s.p.tenants.unwritten() {
		buf = encodeTenant(buf[:0], t)
		append(buf)
	}
	for _, shard := range s.p.table.shards {
		buf = shard.write(append, buf)
	}
	for _, r := range s.p.rules {
		if r.reservoir != nil {
			r.reservoir.write(r.id, append)
		}
	}
}

// snapshot emits all that there is, a shard at a time.
func (s *state) snapshot(emit func(record []byte) error) error {
	if err := emit(encodeSecret(nil, s.p.secret)); err != nil {
		return err
	}
	for _, t := range s.p.tenants.list() {
		if err := emit(encodeTenant(nil, t)); err != nil {
			return err
		}
	}
	var buf []byte
	var lengths []int
	for _, shard := range s.p.table.shards {
		buf, lengths = shard.image(buf[:0], lengths[:0])
		rest := buf
		for _, n := range lengths {
			if err := emit(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
	for _, r := range s.p.rules {
		if r.reservoir == nil {
			continue
		}
		for _, record := range r.reservoir.image(r.id) {
			if err := emit(record); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *state) close(ctx context.Context) error {
	defer releaseStorage(s.p.cfg)
	var err error
	if s.log != nil {
		err = s.log.Close(ctx)
	}
	if closing := s.client.Close(ctx); err == nil {
		err = closing
	}
	return err
}

// write appends what has changed since the last write.
func (r *reservoir) write(rule uint64, append func(record []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.changed) == 0 && !r.emptied {
		return
	}
	if r.emptied {
		append(encodeReservoir(nil, rule, 0, 0, 0))
		r.emptied = false
	}
	for place := range r.changed {
		append(encodeSample(nil, rule, place, &r.samples[place]))
	}
	clear(r.changed)
	append(encodeReservoir(nil, rule, r.seen, r.end, len(r.samples)))
}

// image returns all that the reservoir holds.
func (r *reservoir) image(rule uint64) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	records := make([][]byte, 0, len(r.samples)+1)
	for place := range r.samples {
		records = append(records, encodeSample(nil, rule, place, &r.samples[place]))
	}
	return append(records, encodeReservoir(nil, rule, r.seen, r.end, len(r.samples)))
}
