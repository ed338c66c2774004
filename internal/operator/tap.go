// This file lets operators look at the log records that leave a component, while they look and no longer.

package operator

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/time/rate"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

const (
	// tapRate bounds how many records a second one watcher costs the pipeline to look at.
	tapRate = 2000
)

// Tap shows the log records that pass it. While nobody looks it costs one atomic load a batch; a
// watcher never makes the pipeline wait. Safe for concurrent use.
type Tap struct {
	name string

	mu       sync.Mutex // guards changes of watchers
	watchers atomic.Pointer[[]*watcher]
}

// NewTap returns a tap of the component of that id.
func NewTap(name string) *Tap { return &Tap{name: name} }

// Name of the component that the records leave.
func (t *Tap) Name() string { return t.name }

// TapRecord is one log record as operators see it.
type TapRecord struct {
	From       string         `json:"from"` // name of the tap
	Time       time.Time      `json:"time"`
	Severity   string         `json:"severity,omitempty"`
	Event      string         `json:"event,omitempty"`
	Body       string         `json:"body,omitempty"`
	TraceID    string         `json:"trace_id,omitempty"`
	SpanID     string         `json:"span_id,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Resource   map[string]any `json:"resource,omitempty"`
}

// watcher is one operator who looks.
type watcher struct {
	grep    *regexp.Regexp // nil lets every record through
	limit   *rate.Limiter
	records chan TapRecord
	skipped *atomic.Uint64
}

// Watch sends the records that match grep (nil: all) to the channel until stop is called. What comes
// faster than tapRate, or than it is read, is skipped and counted.
func (t *Tap) Watch(grep *regexp.Regexp, records chan TapRecord, skipped *atomic.Uint64) (stop func()) {
	w := &watcher{grep: grep, limit: rate.NewLimiter(tapRate, tapRate), records: records, skipped: skipped}
	t.change(func(all []*watcher) []*watcher { return append(all, w) })
	return func() {
		t.change(func(all []*watcher) (rest []*watcher) {
			for _, other := range all {
				if other != w {
					rest = append(rest, other)
				}
			}
			return rest
		})
	}
}

func (t *Tap) change(f func([]*watcher) []*watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*watcher
	if now := t.watchers.Load(); now != nil {
		all = append(all, *now...)
	}
	if all = f(all); len(all) == 0 {
		t.watchers.Store(nil)
		return
	}
	t.watchers.Store(&all)
}

// Observe shows ld to those who look. Call it before ld is handed on.
func (t *Tap) Observe(ld plog.Logs) {
	if watchers := t.watchers.Load(); watchers != nil {
		t.show(*watchers, ld)
	}
}

func (t *Tap) show(watchers []*watcher, ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if mark, ok := record.Attributes().Get(attr.Synthetic); ok && mark.Bool() {
					continue
				}
				for _, w := range watchers {
					w.show(t.name, rl, record)
				}
			}
		}
	}
}

func (w *watcher) show(from string, rl plog.ResourceLogs, record plog.LogRecord) {
	if !w.limit.Allow() {
		w.skipped.Add(1)
		return
	}
	seen := tapRecord(from, rl, record)
	if w.grep != nil && !seen.matches(w.grep) {
		return
	}
	select {
	case w.records <- seen:
	default:
		w.skipped.Add(1)
	}
}

func tapRecord(from string, rl plog.ResourceLogs, record plog.LogRecord) TapRecord {
	seen := TapRecord{
		From:       from,
		Time:       record.Timestamp().AsTime(),
		Severity:   record.SeverityText(),
		Event:      record.EventName(),
		Body:       record.Body().AsString(),
		Attributes: record.Attributes().AsRaw(),
		Resource:   rl.Resource().Attributes().AsRaw(),
	}
	if record.Timestamp() == 0 {
		seen.Time = record.ObservedTimestamp().AsTime()
	}
	if seen.Severity == "" && record.SeverityNumber() != plog.SeverityNumberUnspecified {
		seen.Severity = record.SeverityNumber().String()
	}
	if id := record.TraceID(); !id.IsEmpty() {
		seen.TraceID = hex.EncodeToString(id[:])
	}
	if id := record.SpanID(); !id.IsEmpty() {
		seen.SpanID = hex.EncodeToString(id[:])
	}
	return seen
}

// matches looks for the pattern in what a person would read: event, body, ids, and attributes as key=value.
func (r TapRecord) matches(grep *regexp.Regexp) bool {
	for _, text := range []string{r.Event, r.Body, r.Severity, r.TraceID, r.SpanID} {
		if grep.MatchString(text) {
			return true
		}
	}
	for _, attributes := range []map[string]any{r.Attributes, r.Resource} {
		for key, value := range attributes {
			if grep.MatchString(key + "=" + attributeText(value)) {
				return true
			}
		}
	}
	return false
}

func attributeText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}
