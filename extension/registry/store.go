// This file keeps the table in storage and takes it back after a restart: each entry is verified, and
// those that died meanwhile are reported down.

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/journal"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// storedFormat is the version of record.
const storedFormat = 1

// syncWait bounds how long an answer waits for the disk.
const syncWait = time.Second

// record is one line of the journal; one of its fields is set.
type record struct {
	Put  *stored      `json:"put,omitempty"`
	Del  string       `json:"del,omitempty"` // an id
	Down *agents.Down `json:"down,omitempty"`
}

// stored is an entry on disk. Heartbeats are not written: after a restart leases begin anew.
type stored struct {
	Agent   *agents.Agent  `json:"agent"`
	UID     *uint32        `json:"uid,omitempty"`
	Process *proc.Identity `json:"process,omitempty"`
	Token   []byte         `json:"token_sha256,omitempty"`
}

func storedOf(e *entry) *stored {
	s := &stored{Agent: e.agent.Load()}
	if e.account.local {
		s.UID = &e.account.uid
	}
	if e.process.PID != 0 {
		s.Process = &e.process
	}
	if e.token != (tokenHash{}) {
		s.Token = e.token[:]
	}
	return s
}

func (s *stored) owner() owner {
	var o owner
	if s.UID != nil {
		o.account = account{uid: *s.UID, local: true}
	}
	if s.Process != nil {
		o.process = *s.Process
	}
	copy(o.token[:], s.Token)
	return o
}

// store appends records to the next write.
func (r *registry) store(records ...record) {
	if r.log == nil {
		return
	}
	lines := make([][]byte, 0, len(records))
	for _, rec := range records {
		line, err := json.Marshal(rec)
		if err != nil { // texts, finite numbers and decoded JSON always encode
			r.logger.Error("Cannot encode a record for storage", zap.Error(err))
			continue
		}
		lines = append(lines, line)
	}
	r.log.Append(lines...)
}

// durable waits until what was stored is on disk. It holds nobody up for longer than syncWait.
func (r *registry) durable(ctx context.Context) error {
	if r.log == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	return r.log.Sync(ctx)
}

// sync makes an answer that follows hold over kill -9. A disk that fails or is slow is reported.
func (r *registry) sync(ctx context.Context) {
	if err := r.durable(ctx); err != nil {
		r.logger.Warn("The registry is not durable now: it goes on in memory", zap.Error(err))
	}
}

// openStore takes back what is stored and begins to write.
func (r *registry) openStore(ctx context.Context, client storage.Client) error {
	held := map[string]*stored{}
	log, err := journal.Open(ctx, client, journal.Config{
		Interval: r.cfg.WriteInterval,
		Format:   storedFormat,
		Snapshot: r.snapshot,
		Logger:   r.logger,
	}, func(_ uint32, line []byte) error {
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil {
			return fmt.Errorf("a stored record: %w", err)
		}
		switch {
		case rec.Put != nil && rec.Put.Agent != nil:
			held[rec.Put.Agent.ID] = rec.Put
		case rec.Del != "":
			delete(held, rec.Del)
		case rec.Down != nil:
			r.hub.recall(*rec.Down, r.now())
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.log = log
	r.restore(held)
	return nil
}

// restore puts verified entries back, and reports the others down.
func (r *registry) restore(held map[string]*stored) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range held {
		if e, gone := r.putBack(s); gone {
			r.remove(e, agents.Down{Reason: agents.ReasonExited, Detail: "ended while this agent was not running"})
		}
	}
}

// takeBack puts verified entries of a backup into the table, beside those that are registered now.
func (r *registry) takeBack(held map[string]*stored) (back []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range held {
		if _, taken := r.byID.Load(id); taken || processGone(s) || r.room(s.Agent, s.owner().account, nil) != nil {
			continue
		}
		e, _ := r.putBack(s)
		r.store(record{Put: storedOf(e)})
		r.hub.tell(agents.Event{Type: agents.EventRegistered, At: r.now(), Agent: e.agent.Load()})
		back = append(back, e)
	}
	return back
}

// letGo takes out again those of takeBack's entries that are still there.
func (r *registry) letGo(back []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range back {
		if now, there := r.byID.Load(e.agent.Load().ID); there && now == e {
			r.remove(e, agents.Down{Reason: agents.ReasonGoodbye})
		}
	}
}

func processGone(s *stored) bool {
	return s.Process != nil && s.Process.Start != 0 && s.Process.Gone()
}

// putBack puts a stored entry into the table. gone says that its process has ended. r.mu is held.
func (r *registry) putBack(s *stored) (e *entry, gone bool) {
	e = &entry{owner: s.owner()}
	a := *s.Agent
	a.State, a.Watch = agents.StateUp, agents.WatchLease
	p, gone := reopen(e.process)
	if p != nil && r.moveIn(p, a.ID) {
		a.Watch = agents.WatchPidfd
	}
	r.setLease(&a, &s.Agent.Lease)
	e.agent.Store(&a)
	r.insert(e)
	return e, gone
}

// reopen takes hold of a process of before again. gone says that it has ended; where p is nil though it
// has not, nothing tells whether the pid is still the same process's, and a lease must.
func reopen(id proc.Identity) (p *proc.Process, gone bool) {
	if id.PID == 0 || id.Start == 0 {
		return nil, false
	}
	if id.Gone() {
		return nil, true
	}
	p, err := proc.Open(id.PID)
	if err != nil {
		return nil, false
	}
	if p.Identity != id {
		p.Close()
		return nil, true
	}
	return p, false
}

// snapshot is the journal's: all that is known now.
func (r *registry) snapshot(emit func([]byte) error) error {
	for _, e := range r.byID.All() {
		if err := emitRecord(emit, record{Put: storedOf(e)}); err != nil {
			return err
		}
	}
	for _, down := range r.hub.kept() {
		if err := emitRecord(emit, record{Down: &down}); err != nil {
			return err
		}
	}
	return nil
}

func emitRecord(emit func([]byte) error, rec record) error {
	line, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return emit(line)
}
