package backend

import (
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// LogTotals is an account of log records.
type LogTotals struct {
	// Records that arrived, repeats included.
	Records int
	// Repeats are records that had arrived before: summaries by foundation.record_id, others by what they say and when.
	Repeats int
	// Firsts are the records that are no summaries and no repeats; Summaries likewise.
	Firsts, Summaries int
	// Weight is the sum of the weights, repeats left out: what the records stand for.
	Weight float64
	// LogCount is the sum of log_count of the summaries, repeats left out.
	LogCount int
	// Enriched are the firsts that carry error context.
	Enriched int
	// Wrong are records that cannot be right: a summary that counts nothing, a weight below zero.
	Wrong int
}

// Logs are the totals, by event name. Safe for concurrent use.
type Logs struct {
	mu     sync.Mutex
	events map[string]*LogTotals
	seen   map[identity]struct{}
}

// identity tells a repeat from another record.
type identity struct {
	id   string
	time pcommon.Timestamp
}

func newLogs() *Logs {
	return &Logs{events: map[string]*LogTotals{}, seen: map[identity]struct{}{}}
}

// Event is the account of one event name; "" is that of plain log records.
func (l *Logs) Event(name string) LogTotals {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.events[name]; t != nil {
		return *t
	}
	return LogTotals{}
}

// Events lists all accounts.
func (l *Logs) Events() map[string]LogTotals {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]LogTotals{}
	for name, t := range l.events {
		all[name] = *t
	}
	return all
}

func (l *Logs) count(logs plog.Logs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				l.record(lr)
			}
		}
	}
}

func (l *Logs) record(lr plog.LogRecord) {
	t := l.events[lr.EventName()]
	if t == nil {
		t = &LogTotals{}
		l.events[lr.EventName()] = t
	}
	t.Records++
	if id, ok := identify(lr); ok {
		if _, repeat := l.seen[id]; repeat {
			t.Repeats++
			return
		}
		l.seen[id] = struct{}{}
	}
	weight := 1.0
	if v, ok := lr.Attributes().Get(attr.AdjustedCount); ok {
		weight = number(v)
	}
	count := 0
	if v, ok := lr.Attributes().Get(attr.LogCount); ok {
		count = int(v.Int())
	}
	if _, ok := lr.Attributes().Get(attr.Summary); ok || count > 0 {
		t.Summaries++
		t.LogCount += count
		if count < 1 {
			t.Wrong++
		}
	} else {
		t.Firsts++
		for name := range lr.Attributes().All() {
			if strings.HasPrefix(name, attr.ErrorContextPre) {
				t.Enriched++
				break
			}
		}
	}
	if weight < 0 {
		t.Wrong++
	}
	t.Weight += weight
}

// identify gives the identity of a record: a summary's own id, or the key that the load puts into a record
// together with its time.
func identify(lr plog.LogRecord) (identity, bool) {
	if v, ok := lr.Attributes().Get(attr.RecordID); ok {
		return identity{id: v.Str()}, true
	}
	for _, key := range []string{"order.id", attr.DedupKey} {
		if v, ok := lr.Attributes().Get(key); ok {
			return identity{id: lr.EventName() + "\x00" + v.Str(), time: lr.Timestamp()}, true
		}
	}
	return identity{}, false
}

func number(v pcommon.Value) float64 {
	if v.Type() == pcommon.ValueTypeDouble {
		return v.Double()
	}
	return float64(v.Int())
}
