// This file is what operators may do with the table through the control extension.

package dedup

import (
	"context"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// keysTable shows the table of keys.
type keysTable struct{ p *dedupProcessor }

var (
	_ operator.Table     = keysTable{}
	_ operator.Backuper  = keysTable{}
	_ operator.Rebuilder = keysTable{}
	_ operator.Cleaner   = keysTable{}
	_ operator.Ensurer   = keysTable{}
	_ operator.Previewer = keysTable{}
)

func (t keysTable) Name() string             { return t.p.set.ID.String() + "/keys" }
func (t keysTable) Info() operator.TableInfo { return t.p.info() }

// Rebuild makes the indices anew from the entries.
func (t keysTable) Rebuild(context.Context) (int64, error) {
	var entries int64
	for _, s := range t.p.table.shards {
		s.mu.Lock()
		s.rebuild()
		entries += int64(s.index.used)
		s.mu.Unlock()
	}
	return entries, nil
}

func (s *shard) rebuild() {
	s.index = newIndex()
	s.wheel = wheel{slab: s.slab, current: s.wheel.current}
	s.each(func(slot uint32, e *entry) {
		s.index.insert(e.key, slot)
		if e.bucket = noBucket; e.length > 0 {
			s.wheel.add(slot, e.end())
		}
	})
}

// Cleanup ends the windows that are due, at once.
func (t keysTable) Cleanup(context.Context) (int64, error) {
	before, _ := t.p.table.size()
	now := t.p.now()
	for _, s := range t.p.table.shards {
		s.mu.Lock()
		s.each(func(slot uint32, e *entry) {
			if e.length > 0 && e.end() <= now {
				s.expire(slot, now)
			}
		})
		s.mu.Unlock()
	}
	after, _ := t.p.table.size()
	return max(0, before-after), nil
}

// Ensure has nothing to make: the table is there as long as the processor is. It writes the stored image anew.
func (t keysTable) Ensure(ctx context.Context) error {
	if t.p.state == nil {
		return nil
	}
	return t.p.state.log.Reset(ctx)
}
