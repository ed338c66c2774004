// This file says what the registry holds and how it watches, and mends what is missing.

package registry

import (
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// info is the answer to GET /v1/agents/info.
type info struct {
	Enabled      bool           `json:"enabled"` // reads are on
	Entries      int            `json:"entries"`
	Unresponsive int            `json:"unresponsive"`
	Bytes        int64          `json:"bytes"` // estimate of memory held
	Limits       map[string]any `json:"limits"`
	DeathWatch   string         `json:"death_watch"` // pidfd, or lease where the system gives no pidfds
	DeathNote    string         `json:"death_watch_note,omitempty"`
	ByWatch      map[string]int `json:"by_watch"`     // how many agents' ends are told how
	RecentDowns  int            `json:"recent_downs"` // kept for those who begin to watch
	UntoldDowns  int            `json:"untold_downs"` // waiting their turn
	Watchers     int64          `json:"watchers"`     // streams
	Persisted    bool           `json:"persisted"`
	StorageError string         `json:"storage_error,omitempty"`
	ShadowWrites int64          `json:"shadow_writes"`
	ShadowReads  int64          `json:"shadow_reads"`
}

func (r *registry) info() info {
	limits := r.cfg.Limits
	i := info{
		Enabled: r.flag.Enabled(),
		Entries: r.byID.Len(),
		Bytes:   r.bytes.Load(),
		Limits: map[string]any{
			"max_entries": limits.MaxEntries, "max_entries_per_uid": limits.MaxEntriesPerUID, "max_bytes": limits.MaxBytes,
			"max_body_bytes": limits.MaxBodyBytes, "max_labels": limits.MaxLabels, "max_label_bytes": limits.MaxLabelBytes,
			"max_metadata_bytes": limits.MaxMetadataBytes, "max_metadata_depth": limits.MaxMetadataDepth,
			"max_vitals": limits.MaxVitals, "max_processes": limits.MaxProcesses,
			"max_watchers": limits.MaxWatchers, "max_watchers_per_uid": limits.MaxWatchersPerUID,
		},
		DeathWatch:   agents.WatchPidfd,
		ByWatch:      map[string]int{},
		RecentDowns:  len(r.hub.downs(r.now())),
		UntoldDowns:  r.hub.waiting(),
		Watchers:     r.tally.streams.Load(),
		Persisted:    r.log != nil,
		ShadowWrites: r.tally.shadowWrites.Load(),
		ShadowReads:  r.tally.shadowReads.Load(),
	}
	if r.noPidfd != nil {
		i.DeathWatch = agents.WatchLease
		i.DeathNote = r.noPidfd.Error()
	}
	for _, e := range r.byID.All() {
		a := e.agent.Load()
		i.ByWatch[a.Watch]++
		if a.State == agents.StateUnresponsive {
			i.Unresponsive++
		}
	}
	if r.log != nil && r.log.Err() != nil {
		i.StorageError = r.log.Err().Error()
	}
	return i
}

// mended is what ensure had to recreate.
type mended struct {
	Watches int `json:"watches"` // ends of processes that nothing was waiting for
	Indexed int `json:"indexed"` // agents that the index of processes had lost
	Gone    int `json:"gone"`    // agents whose process had ended unseen
	Entries int `json:"entries"`
}

// ensure recreates what is missing: the index of processes and the wait for their ends. It looks
// each process up, and takes those down that have ended unseen.
func (r *registry) ensure() mended {
	r.mu.Lock()
	defer r.mu.Unlock()
	var m mended
	for id, e := range r.byID.All() {
		if e.process.PID == 0 || e.process.Start == 0 {
			continue
		}
		p, gone := reopen(e.process)
		if gone {
			m.Gone++
			r.remove(e, agents.Down{Reason: agents.ReasonExited, Detail: "found gone by ensure"})
			continue
		}
		if p != nil {
			r.ensureWatched(e, p, id, &m)
		}
	}
	m.Entries = r.byID.Len()
	return m
}

// ensureWatched takes p over. r.mu is held.
func (r *registry) ensureWatched(e *entry, p *proc.Process, id string, m *mended) {
	in, ok := r.byPID.Load(p.PID)
	if !ok || in.Identity != p.Identity {
		m.Indexed++
	}
	old := e.agent.Load()
	if r.moveIn(p, id) && old.Watch != agents.WatchPidfd {
		m.Watches++
		a := *old
		a.Watch = agents.WatchPidfd
		r.replace(e, &a)
	}
}

// recount makes the accounts anew from the entries.
func (r *registry) recount() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.accounts)
	var total int64
	for _, e := range r.byID.All() {
		e.bytes = bytesOf(e.agent.Load())
		total += e.bytes
		r.accounts[e.account]++
	}
	r.bytes.Store(total)
}
