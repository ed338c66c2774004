// This file is the table: what it holds, who may join it, and how an entry moves from open to gone. The
// rules of the halves are in lifecycle.go.

package openspans

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// amount is a number of spans and an estimate of their memory.
type amount struct {
	spans int
	bytes int64
}

func (a *amount) add(e *entry)    { a.spans++; a.bytes += e.size() }
func (a *amount) remove(e *entry) { a.spans--; a.bytes -= e.size() }

// table is the open spans and all that belongs to them.
type table struct {
	cfg     *Config
	logger  *zap.Logger
	clock   clock
	managed func() bool // the management flag, now
	events  *extevent.Buffer
	stats   stats
	watched atomic.Bool   // the index has entries, for Watching
	wake    chan struct{} // holds a token while something is leaving
	persist bool          // changes are kept for storage

	mu           sync.Mutex
	stopped      int64 // the time of the batch that is being taken in; 0 for none
	index        index
	fresh        [maxFresh]ref // places of what was changed or looked at last, round and round
	nextFresh    int
	seq          uint64
	ended        tombstones
	agents       map[string]*agent
	largest      *agent   // a hint: who holds the most
	recent       *process // whose half came last: most come in batches of one process
	idle         *simplelru.LRU[*process, struct{}]
	shapes       shapes
	wheel        *wheel
	held         amount // open and waiting
	out          amount // leaving
	leaving      list
	contexts     int         // entries and frames with error context
	contextBytes int64       // of all frames
	around       pcommon.Map // scratch of freezeContext
	errors       *simplelru.LRU[string, *errorRing]
	obituaries   map[*entry]func()             // told when the entry, the last of its agent's, has been delivered
	handled      *simplelru.LRU[downKey, bool] // deaths that were handled: whether the obituary is out
	changed      changes
	sinceBackup  *changedSince // the present backup has begun; nil when none is being written
}

// maxAgentsWithErrors bounds the agents whose last errors are remembered, and the deaths that were handled.
const maxAgentsWithErrors = 1024

func newTable(cfg *Config, logger *zap.Logger, c clock) *table {
	t := &table{
		cfg:        cfg,
		logger:     logger,
		clock:      c,
		managed:    func() bool { return true },
		events:     extevent.NewBuffer(maxAgentsWithErrors),
		wake:       make(chan struct{}, 1),
		index:      newIndex(),
		ended:      newTombstones(cfg),
		agents:     map[string]*agent{},
		shapes:     shapes{byKey: map[shapeKey]*shape{}},
		wheel:      newWheel(c.now()),
		leaving:    list{kind: inOrder},
		obituaries: map[*entry]func(){},
		around:     pcommon.NewMap(),
	}
	// NewLRU fails for a size below one only; Validate has seen to that.
	t.idle, _ = simplelru.NewLRU(cfg.Context.MaxProcesses, func(p *process, _ struct{}) {
		if p.held == 0 {
			t.forget(p)
		}
	})
	t.errors, _ = simplelru.NewLRU[string, *errorRing](maxAgentsWithErrors, nil)
	t.handled, _ = simplelru.NewLRU[downKey, bool](maxAgentsWithErrors, nil)
	return t
}

// clock tells the time in unix ns.
type clock interface {
	now() int64
	// of translates a time that the wall clock told.
	of(at time.Time) int64
}

// steadyClock does not step while the process lives: it is the wall clock at the start, and monotonic time since.
type steadyClock struct{ started time.Time }

func newClock() clock { return steadyClock{started: time.Now()} }

func (c steadyClock) now() int64 { return c.started.UnixNano() + int64(time.Since(c.started)) }

// of holds for times told lately: what the wall clock stepped since is lost.
func (c steadyClock) of(at time.Time) int64 { return c.now() - max(0, int64(time.Since(at.Round(0)))) }

// maxFresh bounds the spans that are held as pdata.
const maxFresh = 16 << 10

// look notes that a body of an entry is about to be opened.
func (t *table) look(e *entry) {
	if e.base.packed != nil && e.state != leaving {
		t.freshen(e)
	}
}

// freshen notes that something of an entry is pdata. What was fresh so long ago is packed.
func (t *table) freshen(e *entry) {
	at := &t.fresh[t.nextFresh]
	t.nextFresh = (t.nextFresh + 1) % maxFresh
	if stale := t.index.places[*at].entry; stale != nil && stale != e && stale.state != leaving {
		stale.base.pack()
		stale.more.pack()
	}
	*at = e.ref
}

// now is the time. For a batch of halves it stands still.
func (t *table) now() int64 {
	if t.stopped != 0 {
		return t.stopped
	}
	return t.clock.now()
}

func (t *table) stopTime() (goOn func()) {
	t.stopped = t.clock.now()
	return func() { t.stopped = 0 }
}

// at returns what a key leads to: an entry, what is left of one, or neither.
func (t *table) at(k key) (*entry, *tombstone) {
	r := t.index.find(k)
	if r == 0 {
		return nil, nil
	}
	p := &t.index.places[r]
	if p.entry != nil {
		return p.entry, nil
	}
	return nil, t.ended.at(int(p.ended) - 1)
}

// holds reports whether a key leads anywhere.
func (t *table) holds(k key) bool { return t.index.find(k) != 0 }

// live returns the entry of a key; nil where there is none or only a tombstone.
func (t *table) live(k key) *entry {
	e, _ := t.at(k)
	return e
}

// reserve gives a key a place.
func (t *table) reserve(k key) ref {
	r := t.index.reserve(k)
	if t.index.len == 1 {
		t.watched.Store(true)
	}
	return r
}

// vacate is the inverse of reserve.
func (t *table) vacate(k key, r ref) {
	t.index.vacate(k, r)
	if t.index.len == 0 {
		t.watched.Store(false)
	}
}

// admit adds a new entry to slab, index and agent, and makes room for it first.
func (t *table) admit(e *entry, p *process) {
	p.held++ // it stays, though its last span be evicted for this one
	t.makeRoom(p.agent, 1, e.size())
	p.held--
	e.ref = t.reserve(e.key)
	t.index.places[e.ref].entry = e
	e.process = p
	t.join(e)
	t.held.add(e)
}

// full reports whether so much has ended and cannot be delivered that no span may start. A quarter of the
// bounds is kept for what is leaving, so what is open never crowds out what has ended.
func (t *table) full() bool {
	return t.out.spans >= t.cfg.MaxSpans/4 || t.out.bytes >= t.maxBytes()/4
}

func (t *table) maxBytes() int64 { return int64(t.cfg.MaxMiB) << 20 }

// makeRoom evicts until so many more entries of the agent, of that size together, fit.
func (t *table) makeRoom(a *agent, entries int, size int64) {
	for a.spans+entries > t.cfg.MaxSpansPerAgent && a.leaves.head != nil && t.force(a.leaves.head, evicted, t.now()) {
	}
	for t.held.spans+entries > t.cfg.MaxSpans/4*3 || t.held.bytes+t.contextBytes+size > t.maxBytes()/4*3 {
		if v := t.victim(a); v == nil || !t.force(v, evicted, t.now()) {
			return
		}
	}
}

// grow changes what an entry holds, and keeps the accounts of memory.
func (t *table) grow(e *entry, change func()) {
	before := e.size()
	change()
	t.held.bytes += e.size() - before
	t.touch(e)
	t.makeRoom(e.owner(), 0, 0)
}

// finish moves an entry from open (or waiting) to leaving.
func (t *table) finish(e *entry, r reason, at int64) {
	e.reason, e.closed = r, at
	t.freezeContext(e)
	t.unlink(e)
	e.state = leaving
	t.out.add(e)
	t.leaving.push(e)
	t.touch(e)
	if !e.synthetic {
		t.stats.ends[r].Add(1)
	}
	t.signal()
}

// unlink takes an entry that was open or waiting out of stack, wheel and agent.
func (t *table) unlink(e *entry) {
	t.held.remove(e)
	t.wheel.clear(e)
	if e.among != nil {
		e.among.remove(e)
		e.among = nil
	}
	t.discountChild(e)
	t.part(e)
}

// force ends a span that its application did not end. It reports whether the span has left the open ones:
// one whose complete span is on its way is left to that.
func (t *table) force(e *entry, r reason, at int64) bool {
	if e.claims != nil {
		e.claims.dooms[e] = doom{reason: r, at: at}
		return false
	}
	if e.state == waiting {
		t.giveUp(e)
		return true
	}
	t.finish(e, r, at)
	return true
}

// giveUp ends an entry whose start never came: an end leaves, marked; an update has nothing to leave as.
func (t *table) giveUp(e *entry) {
	if e.hasEnd {
		t.stats.orphanEnds.Add(1)
		t.finish(e, normal, t.now())
		return
	}
	t.stats.orphanUpdates.Add(1)
	t.drop(e)
}

// drop takes an entry that is open or waiting out of the table, as if it had never been there.
func (t *table) drop(e *entry) {
	t.dropContext(e)
	t.unlink(e)
	t.remove(e)
	t.vacate(e.key, e.ref)
}

// bury turns an entry that was delivered, or whose complete span passed, into a tombstone.
func (t *table) bury(e *entry) {
	b := tombstone{key: e.key, ref: e.ref, agent: e.owner().id, ended: e.closed, forced: e.reason != normal, context: e.lastContext()}
	if e.context != nil {
		t.contexts--
	}
	t.remove(e)
	t.rest(b)
}

// remember adds a tombstone of a span that was not in the table.
func (t *table) remember(b tombstone) {
	b.ref = t.reserve(b.key)
	t.rest(b)
}

// rest leaves a tombstone in its place.
func (t *table) rest(b tombstone) {
	position := t.ended.add(b, t.forgetEnded)
	p := &t.index.places[b.ref]
	p.entry, p.ended = nil, 1+int32(position)
}

// forgetEnded drops the key of a tombstone that goes.
func (t *table) forgetEnded(b *tombstone) { t.vacate(b.key, b.ref) }

// remove ends the life of an entry. Its place is the caller's to see to.
func (t *table) remove(e *entry) {
	t.shapes.release(e.shape)
	e.state, e.base, e.more = gone, body{}, body{}
	if e.ownContext {
		e.ownContext = false
		t.contexts--
	}
	if e.stored || e.reason != normal || t.sinceBackup != nil {
		t.touch(e)
	}
}

// signal wakes the outlet.
func (t *table) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// fill makes the ids that are absent: random, from the kernel's generator.
func (k *key) fill() {
	if k.trace.IsEmpty() {
		_, _ = rand.Read(k.trace[:]) // never fails: it ends the process instead
	}
	if k.span.IsEmpty() {
		_, _ = rand.Read(k.span[:])
	}
}

func refOf(e *entry) spans.Ref {
	return spans.Ref{TraceID: e.trace, SpanID: e.span, ParentID: e.parent, Waiting: e.state == waiting}
}

// downKey identifies one death.
type downKey struct {
	agent, instance string
	at              int64
}

func downKeyOf(d agents.Down) downKey {
	return downKey{agent: d.AgentID, instance: d.Instance, at: d.At.UnixNano()}
}
