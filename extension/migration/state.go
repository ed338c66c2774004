// This file is what survives a restart, and how it is written: the state and the history entries that
// belong to a change go to the storage in one transaction.

package migration

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/store"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// stateFormat is the version of state. A newer one is refused and left alone.
const stateFormat = 1

const stateKey = "state"

// Kinds of transitions, which are also those of history entries.
const (
	kindAdvance   = "advance"
	kindRollback  = "rollback"
	kindEmergency = "emergency_rollback"
	kindRehearsal = "rehearsal"
	// Kinds that are only entries.
	kindUndone   = "advance_undone" // an advance that did not come to its end
	kindFoundOff = "found_off"      // the flags were off though a stage was on
	kindAlert    = "alert"          // a criterion was breached, or the guard needs a person
	kindRestart  = "soak_restarted" // the soak began anew: another version of the service
	kindAttest   = "attestation"    // a person confirmed an item of the checklist
	kindBaseline = "baseline"       // a baseline was begun or ended
)

// transition is a change of stage that is intended: it is stored before the first flag changes, so that
// after a crash in the middle it is known what was meant.
type transition struct {
	Kind   string      `json:"kind"`
	From   string      `json:"from"`
	To     string      `json:"to"`
	Author flag.Author `json:"by"`
	Forced bool        `json:"forced,omitempty"`
	At     time.Time   `json:"at"`

	seen uint64 // emergency rollbacks before it began
}

// soak is how long the present stage has been observed.
type soak struct {
	Observed time.Duration `json:"observed_ns"`
	Samples  int           `json:"samples"`
	Versions []string      `json:"versions,omitempty"` // service.version of what was observed
	Started  time.Time     `json:"started_at"`
}

// attestation is a person's word for an item of the checklist.
type attestation struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// state of the rollout.
type state struct {
	Format       uint32                        `json:"format"`
	Stage        string                        `json:"stage"`
	Pending      *transition                   `json:"pending,omitempty"`
	Soak         soak                          `json:"soak"`
	LastRollback time.Time                     `json:"last_rollback_at"`
	FirstSeq     uint64                        `json:"first_seq"` // oldest entry of history that is kept
	NextSeq      uint64                        `json:"next_seq"`
	Rehearsals   map[string]operator.Rehearsal `json:"rehearsals,omitempty"` // the last of each stage
	Attested     map[string]attestation        `json:"attested,omitempty"`
}

// loadState reads the stored state; a fresh store gives that of before the first stage.
func loadState(ctx context.Context, s *store.Store) (state, error) {
	st := state{Format: stateFormat, Stage: noStage}
	stored, err := s.Get(ctx, stateKey)
	if err != nil {
		return st, fmt.Errorf("storage: %w", err)
	}
	if stored == nil {
		return st, nil
	}
	if err := json.Unmarshal(stored, &st); err != nil {
		return st, fmt.Errorf("the stored state of the migration is damaged: %w", err)
	}
	for stage, r := range st.Rehearsals {
		if r.State == rehearsalRunning {
			r.State = rehearsalFailed
			r.Steps = append(r.Steps, operator.RehearsalStep{At: time.Now().UTC(), Name: "the agent ended", Detail: "the stage was switched off at the restart"})
			st.Rehearsals[stage] = r
		}
	}
	if st.Format > stateFormat {
		return st, fmt.Errorf("the stored state of the migration has format %d, this agent reads up to %d: it is left alone; run the newer agent", st.Format, stateFormat)
	}
	return st, nil
}

// encode is the state as stored.
func (st *state) encode() []byte {
	encoded, err := json.Marshal(st)
	if err != nil {
		panic(err) // plain structs of strings, numbers and times
	}
	return encoded
}

// attest keeps who confirmed an item, and when.
func (r *rollout) attest(item string, by flag.Author) {
	r.mu.Lock()
	attested := map[string]attestation{item: {By: by.Name, At: r.now().UTC()}}
	for other, a := range r.st.Attested {
		if other != item {
			attested[other] = a
		}
	}
	r.st.Attested = attested // a new map: snapshots share the old one
	r.mu.Unlock()
	r.record(operator.MigrationEntry{Kind: kindAttest, Author: by.Name, Reason: by.Reason, Message: item, Persisted: true})
}
