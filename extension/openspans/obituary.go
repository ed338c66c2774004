// This file is the obituary: the one record that says who died, why, and what it was doing.

package openspans

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// obituaryEvent is the event name of the record.
const obituaryEvent = "foundation.agent.down"

// Bounds of what an obituary tells.
const (
	obituarySpans     = 100
	obituaryErrors    = 5
	obituaryErrorText = 256 // bytes
)

// errorRing is the last few error records of an agent, the oldest first.
type errorRing struct {
	records []errorRecord
}

type errorRecord struct {
	at   pcommon.Timestamp
	text string
}

// NoteError remembers an error record.
func (t *table) NoteError(s spans.Sender, at pcommon.Timestamp, text string) {
	if !s.Proven() {
		return
	}
	if len(text) > obituaryErrorText {
		text = strings.ToValidUTF8(text[:obituaryErrorText], "")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ring, ok := t.errors.Get(s.Agent)
	if !ok {
		ring = &errorRing{}
		t.errors.Add(s.Agent, ring)
	}
	if len(ring.records) == obituaryErrors {
		copy(ring.records, ring.records[1:])
		ring.records = ring.records[:obituaryErrors-1]
	}
	ring.records = append(ring.records, errorRecord{at: at, text: strings.Clone(text)})
}

// newObituary writes down a death: left are the spans that were open, children first, last the process
// that opened the latest of them.
func (t *table) newObituary(d agents.Down, left []*entry, last *process) extevent.Event {
	attributes := map[string]any{
		"agent.down.reason":     d.Reason,
		"agent.down.open_spans": int64(len(left)),
	}
	set := func(k, v string) {
		if v != "" {
			attributes[k] = v
		}
	}
	set("agent.down.detail", d.Detail)
	set("agent.instance", d.Instance)
	set("agent.down.signal", d.Signal)
	if d.PID != 0 {
		attributes["process.pid"] = int64(d.PID)
	}
	if d.ExitCode != nil {
		attributes["process.exit.code"] = int64(*d.ExitCode)
	}
	if len(left) > 0 {
		attributes["agent.down.spans"] = spanTree(left, t.clock.of(d.At))
	}
	if last != nil && t.contexts > 0 {
		m := pcommon.NewMap()
		t.mergedIn(last, m)
		for k, v := range m.All() {
			attributes[k] = v.AsRaw()
		}
	}
	if ring, ok := t.errors.Peek(d.AgentID); ok {
		attributes["agent.down.last_errors"] = ring.asAttribute()
	}
	severity := plog.SeverityNumberError
	if d.Normal && len(left) == 0 {
		severity = plog.SeverityNumberInfo
	}
	return extevent.Event{
		Name:       obituaryEvent,
		Time:       d.At,
		Severity:   severity,
		Body:       obituaryText(d, len(left)),
		Attributes: attributes,
		Resource:   map[string]any{attr.AgentID: d.AgentID},
	}
}

func obituaryText(d agents.Down, open int) string {
	why := d.Reason
	switch {
	case d.Signal != "":
		why += ", " + d.Signal
	case d.ExitCode != nil:
		why += fmt.Sprintf(", exit code %d", *d.ExitCode)
	}
	return fmt.Sprintf("agent %s is down (%s) with %d open spans", d.AgentID, why, open)
}

// spanTree lists the spans that were open, parents before children.
func spanTree(left []*entry, at int64) []any {
	tree := make([]any, 0, min(len(left), obituarySpans))
	for i := len(left) - 1; i >= 0 && len(tree) < obituarySpans; i-- {
		e := left[i]
		item := map[string]any{
			"name":             nameOf(e),
			"trace_id":         e.trace.String(),
			"span_id":          e.span.String(),
			"open_duration_ns": max(0, at-e.start),
		}
		if !e.parent.IsEmpty() {
			item["parent_span_id"] = e.parent.String()
		}
		if e.process.name != "" {
			item[attr.Process] = e.process.name
		}
		tree = append(tree, item)
	}
	return tree
}

// nameOf is the name of a span.
func nameOf(e *entry) string {
	for _, b := range []*body{&e.more, &e.base} {
		if !b.empty() {
			if span, err := b.open(); err == nil && span.Name() != "" {
				return span.Name()
			}
		}
	}
	return ""
}

func (r *errorRing) asAttribute() []any {
	out := make([]any, 0, len(r.records))
	for _, e := range r.records {
		out = append(out, map[string]any{"time": e.at.AsTime().Format(time.RFC3339Nano), "text": e.text})
	}
	return out
}
