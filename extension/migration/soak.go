// This file is the soak: how long the present stage has been observed. Only time between two samples
// that saw everything counts, by a clock that only goes forward.

package migration

import (
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// observe lets the soak grow by step unless it is paused. Where the versions of what is observed have
// changed, it begins anew; nil versions are not known.
func (r *rollout) observe(step time.Duration, versions []string, paused string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.st.Stage == noStage || r.under != "" {
		return
	}
	if versions != nil && r.st.Soak.Versions != nil && !slices.Equal(versions, r.st.Soak.Versions) {
		r.restartLocked(versions)
		return
	}
	if versions != nil {
		r.st.Soak.Versions = versions
	}
	if step == 0 || paused != "" {
		return
	}
	r.st.Soak.Observed += step
	r.st.Soak.Samples++
	r.store.Put(map[string][]byte{stateKey: r.st.encode()})
}

func (r *rollout) restartLocked(versions []string) {
	e := operator.MigrationEntry{
		Kind: kindRestart, From: r.st.Stage, To: r.st.Stage, Author: itself, Persisted: true, Soak: r.st.Soak.Observed.Seconds(),
		Reason:  "another service.version is observed",
		Message: "from " + strings.Join(r.st.Soak.Versions, ", ") + " to " + strings.Join(versions, ", "),
	}
	r.st.Soak = soak{Started: r.now(), Versions: versions}
	r.recordLocked(&e)
	r.teller.tell(e)
}

// drift lists the flags that are not as the present stage wants them.
func (r *rollout) drift() []string {
	r.mu.Lock()
	position, busy := r.positionLocked(), r.under != ""
	r.mu.Unlock()
	if busy {
		return nil // they are being changed
	}
	return r.stages.drift(position, r.flags.States())
}
