// This file takes an operator's backup in, and out again where another table's could not be.

package dedup

import (
	"context"
	"errors"
	"io"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// errOtherSecret refuses a backup whose keys mean nothing here.
var errOtherSecret = errors.New("the backup was made under another key_secret than the one that is configured here: its keys mean nothing under that")

// takenBack is what an operator's backup says of suppression.
type takenBack struct {
	p      *dedupProcessor
	keys   []storedEntry // whose window is still open; without weight, which may have been delivered since
	secret secret        // that makes them mean something
	before *secret       // that was in use; nil where it is the same

	added []storedEntry
}

// Restore reads a backup whole. Applying it puts back the keys whose window is still open and that are not there.
func (t keysTable) Restore(ctx context.Context, r io.Reader) (operator.Restoration, error) {
	restored, err := readBackup(ctx, t.p, r)
	if err != nil {
		return operator.Restoration{}, err
	}
	b := &takenBack{p: t.p, keys: restored.suppression(), secret: restored.secret}
	if now := t.p.secret.Load(); restored.hasSecret && *now != b.secret {
		if t.p.cfg.KeySecret != "" {
			return operator.Restoration{}, errOtherSecret
		}
		b.before = now
	}
	return operator.Restoration{
		Apply: func() (int64, error) { return b.apply(ctx) },
		Undo:  func() error { return b.undo(ctx) },
	}, nil
}

// suppression returns the keys that suppress something still.
func (r *restorer) suppression() (keys []storedEntry) {
	now := r.p.now()
	for stored := range r.live() {
		if stored.rule != nil && stored.entry.kind == kindKey && stored.entry.state&open != 0 && stored.entry.end() > now {
			stored.held = nil
			keys = append(keys, stored)
		}
	}
	return keys
}

// apply takes the secret over where it is another: the keys that were made under the former one are not seen again,
// and what they hold leaves as their windows end.
func (b *takenBack) apply(ctx context.Context) (int64, error) {
	b.added = b.p.table.suppress(b.keys, b.p.now(), b.before != nil)
	if b.before != nil {
		b.p.set.Logger.Info("The backup's secret takes the place of the one made up here: events seen until now count as new",
			zap.Int("keys", len(b.added)))
		b.p.adopt(&b.secret)
	}
	return int64(len(b.added)), keysTable{b.p}.Ensure(ctx) // what came back is no change that the journal has seen
}

func (b *takenBack) undo(ctx context.Context) error {
	if b.before != nil {
		b.p.adopt(b.before)
	}
	b.p.table.withdraw(b.added)
	return keysTable{b.p}.Ensure(ctx)
}

// adopt makes s the secret from now on. Records under way keep the former one, whose keys stay where they are.
func (p *dedupProcessor) adopt(s *secret) {
	p.tenants.supersede()
	p.secret.Store(s)
	if p.state != nil {
		p.state.log.Append(encodeSecret(nil, *s))
	}
}

// suppress adds keys that are not there; to a full table only where they take the place of what is.
func (t *table) suppress(keys []storedEntry, now int64, instead bool) (added []storedEntry) {
	for _, stored := range keys {
		s := t.shardOf(stored.entry.key)
		s.mu.Lock()
		known := s.index.find(stored.entry.key, s.slab) != 0
		full := s.index.used >= t.maxKeys
		s.mu.Unlock()
		if !known && (!full || instead) {
			t.restore(stored, now)
			added = append(added, stored)
		}
	}
	return added
}

// withdraw removes keys that suppress has added, unless their window has gone on to the next. What they have held
// since leaves.
func (t *table) withdraw(added []storedEntry) {
	for _, stored := range added {
		s := t.shardOf(stored.entry.key)
		s.mu.Lock()
		if slot := s.index.find(stored.entry.key, s.slab); slot != 0 && s.slab.at(slot).start <= stored.entry.start {
			s.drop(slot)
		}
		s.mu.Unlock()
	}
}
