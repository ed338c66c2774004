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
		Live:     s.p.table.storedBytes,
		Logger:   p.set.Logger,
	}, restored.apply)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if restored.finish() {
		if err := s.log.Reset(ctx); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
	}
	s.log.Append(encodeSecret(nil, *p.secret.Load()))
	return nil
}

// collect puts what has changed since the last write.
func (s *state) collect(put func(record []byte)) {
	var r records
	for _, t := range s.p.tenants.unwritten() {
		r.add(encodeTenant(r.buf, t))
	}
	for _, shard := range s.p.table.shards {
		shard.encodeChanges(&r)
		for record := range r.drain() {
			put(record)
		}
	}
	for _, rule := range s.p.rules {
		if rule.reservoir != nil {
			rule.reservoir.encodeChanges(&r, rule.id)
		}
	}
	for record := range r.drain() {
		put(record)
	}
}

// snapshot emits all that there is.
func (s *state) snapshot(emit func(record []byte) error) error {
	return (&image{emit: emit}).write(s.p)
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

// encodeChanges encodes what has changed since the last call.
func (r *reservoir) encodeChanges(to *records, rule uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.changed) == 0 && !r.emptied {
		return
	}
	if r.emptied {
		to.add(encodeReservoir(to.buf, rule, 0, 0, 0))
		r.emptied = false
	}
	for place := range r.changed {
		to.add(encodeSample(to.buf, rule, place, &r.samples[place]))
	}
	clear(r.changed)
	to.add(encodeReservoir(to.buf, rule, r.seen, r.end, len(r.samples)))
}

// encodeAll encodes all that the reservoir holds. mu is held.
func (r *reservoir) encodeAll(to *records, rule uint64) {
	for place := range r.samples {
		to.add(encodeSample(to.buf, rule, place, &r.samples[place]))
	}
	to.add(encodeReservoir(to.buf, rule, r.seen, r.end, len(r.samples)))
}
