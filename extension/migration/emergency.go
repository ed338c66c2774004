// This file is the emergency rollback: every migration flag false, verified, told to the caller within
// a second, whatever else hangs.

package migration

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	// flagsPatience bounds the wait for the flags extension to say whether it stored the change, which it
	// makes in memory first.
	flagsPatience = 500 * time.Millisecond
	// turnPatience bounds the wait for a transition under way to notice and give up.
	turnPatience = 100 * time.Millisecond
	verifyEvery  = time.Millisecond
)

// emergency sets every migration flag false. It takes no turn and waits for nothing without a bound.
func (r *rollout) emergency(ctx context.Context, by flag.Author, message string) (operator.MigrationChange, error) {
	t := r.overtake(by)

	persisted := r.allOff(by)
	r.awaitTurn()
	if on := r.stillOn(); len(on) > 0 { // an advance under way set its flags after ours were off
		persisted = r.allOff(by)
		if on = r.stillOn(); len(on) > 0 {
			return operator.MigrationChange{}, refuse(http.StatusInternalServerError, "not_verified", "these flags are still on: "+strings.Join(on, ", "))
		}
	}
	return r.commit(ctx, t, persisted, nil, message)
}

// overtake ends what is under way.
func (r *rollout) overtake(by flag.Author) transition {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emergencies++
	r.st.Pending = nil
	if r.abort != nil {
		r.abort()
	}
	return transition{Kind: kindEmergency, From: r.st.Stage, To: noStage, Author: by, At: r.now(), seen: r.emergencies}
}

// allOff switches the flags off and returns whether that was stored, as far as is known in time.
func (r *rollout) allOff(by flag.Author) (persisted bool) {
	stored := make(chan bool, 1)
	go func() { stored <- r.flags.EmergencyRollback(by) }() // in memory first; it ends when the storage answers
	timeout := time.NewTimer(flagsPatience)
	defer timeout.Stop()
	select {
	case persisted = <-stored:
		return persisted
	case <-timeout.C:
		return false
	}
}

// awaitTurn lets a transition under way end.
func (r *rollout) awaitTurn() {
	timeout := time.NewTimer(turnPatience)
	defer timeout.Stop()
	select {
	case r.turn <- struct{}{}:
		<-r.turn
	case <-timeout.C:
	}
}

// stillOn lists the flags of stages that are on, when they are after a moment.
func (r *rollout) stillOn() []string {
	var on []string
	for range 50 {
		if on = r.stages.drift(0, r.flags.States()); len(on) == 0 {
			return nil
		}
		time.Sleep(verifyEvery)
	}
	return on
}
