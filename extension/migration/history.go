// This file is the history: what happened, when, by whom, with the numbers that led to it. Bounded; the
// oldest entries go first.

package migration

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/store"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// history holds the entries that are kept, oldest first. The owner guards it.
type history struct {
	limit   int
	entries []operator.MigrationEntry
}

func historyKey(seq uint64) string { return fmt.Sprintf("history/%d", seq) }

// loadHistory reads the entries that st says are kept. An entry that is damaged is left out: what
// happened is not what the agent does next.
func loadHistory(ctx context.Context, s *store.Store, st state, limit int) (history, error) {
	h := history{limit: limit}
	for seq := st.FirstSeq; seq < st.NextSeq; seq++ {
		stored, err := s.Get(ctx, historyKey(seq))
		if err != nil {
			return h, fmt.Errorf("storage: %w", err)
		}
		var e operator.MigrationEntry
		if stored != nil && json.Unmarshal(stored, &e) == nil {
			h.entries = append(h.entries, e)
		}
	}
	return h, nil
}

// add gives e its number and puts what is to be stored into values.
func (h *history) add(st *state, e *operator.MigrationEntry, values map[string][]byte) {
	e.Seq = st.NextSeq
	st.NextSeq++
	encoded, err := json.Marshal(e)
	if err != nil { // a number that JSON cannot hold: the entry matters more than its numbers
		e.Criteria = nil
		encoded, _ = json.Marshal(e)
	}
	values[historyKey(e.Seq)] = encoded
	h.entries = append(h.entries, *e)
	for len(h.entries) > h.limit {
		values[historyKey(h.entries[0].Seq)] = nil
		h.entries = h.entries[1:]
		st.FirstSeq = h.entries[0].Seq
	}
}

// between returns the entries of a time, oldest first.
func (h *history) between(from, to time.Time) []operator.MigrationEntry {
	found := []operator.MigrationEntry{}
	for _, e := range h.entries {
		if !e.At.Before(from) && e.At.Before(to) {
			found = append(found, e)
		}
	}
	return found
}

func (h *history) last() *operator.MigrationEntry {
	if len(h.entries) == 0 {
		return nil
	}
	e := h.entries[len(h.entries)-1]
	return &e
}
