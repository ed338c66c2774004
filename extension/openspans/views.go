// This file shows the table to operators: which spans are open, and what is in force in a process.

package openspans

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

const (
	defaultListed = 100
	maxListed     = 10_000
)

// OperatorRoutes are the calls that look at the table.
func (o *openSpans) OperatorRoutes() []operator.Route {
	return []operator.Route{
		{Pattern: "GET /v1/spans", Handler: o.serveSpans},
		{Pattern: "GET /v1/context", Handler: o.serveContext},
	}
}

func (o *openSpans) serveSpans(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit := defaultListed
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxListed {
			door.WriteError(w, http.StatusBadRequest, door.Error{
				Code: "invalid_limit", Message: fmt.Sprintf("limit: %q; must be a number from 1 to %d", text, maxListed),
			})
			return
		}
		limit = n
	}
	door.WriteJSON(w, http.StatusOK, o.table.list(query, limit))
}

// listed is a span that a list may show.
type listed struct {
	entry  *entry
	opened int64
}

// list returns the spans that match, the longest open first. The lock is held for a step at a time.
func (t *table) list(query url.Values, limit int) operator.OpenSpans {
	var matching []listed
	for from, more := 0, true; more; from += stepItems {
		t.mu.Lock()
		for _, at := range t.index.places[min(from, len(t.index.places)):min(from+stepItems, len(t.index.places))] {
			if e := at.entry; e != nil && (e.state == open || e.state == waiting) && !e.synthetic && matches(e, query) {
				matching = append(matching, listed{e, e.opened})
			}
		}
		more = from < len(t.index.places)
		t.mu.Unlock()
	}
	slices.SortFunc(matching, func(a, b listed) int { return cmp.Compare(a.opened, b.opened) })
	out := operator.OpenSpans{Spans: []operator.OpenSpan{}, Total: len(matching)}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range matching[:min(limit, len(matching))] {
		if m.entry.state == open || m.entry.state == waiting {
			t.look(m.entry)
			out.Spans = append(out.Spans, viewOf(m.entry))
		}
	}
	return out
}

func matches(e *entry, query url.Values) bool {
	for name, value := range map[string]string{"agent_id": e.owner().id, "process": e.process.name, "trace_id": e.trace.String()} {
		if query.Has(name) && query.Get(name) != value {
			return false
		}
	}
	return true
}

// viewOf describes an entry. The table's lock is held.
func viewOf(e *entry) operator.OpenSpan {
	v := operator.OpenSpan{
		AgentID:   e.owner().id,
		Process:   e.process.name,
		TraceID:   e.trace.String(),
		SpanID:    e.span.String(),
		Name:      nameOf(e),
		StartedAt: time.Unix(0, cmp.Or(e.start, e.opened)).UTC(),
		Waiting:   e.state == waiting,
	}
	if !e.parent.IsEmpty() {
		v.ParentID = e.parent.String()
	}
	if e.slot != nil {
		v.Deadline = time.Unix(0, e.deadline).UTC()
	}
	if e.among == &e.process.stack {
		for at := e; at != nil; at = e.process.stack.before(at) {
			v.Depth++
		}
	}
	if service, ok := e.shape.like.Resource().Attributes().Get("service.name"); ok {
		v.Service = service.AsString()
	}
	said := pcommon.NewMap()
	e.base.attributes().CopyTo(said)
	put(said, e.more.attributes())
	v.Attributes = said.AsRaw()
	return v
}

func (o *openSpans) serveContext(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	s := spans.Sender{Agent: query.Get("agent_id"), Process: query.Get("process")}
	if !s.Proven() {
		door.WriteError(w, http.StatusBadRequest, door.Error{Code: "no_agent", Message: "agent_id: absent; name the agent whose process it is"})
		return
	}
	door.WriteJSON(w, http.StatusOK, o.table.describe(s))
}

// describe shows what is in force in a process.
func (t *table) describe(s spans.Sender) operator.ProcessContext {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := operator.ProcessContext{
		AgentID: s.Agent, Process: s.Process,
		Merged: map[string]any{}, Pushed: []map[string]any{}, Stack: []operator.OpenSpan{},
	}
	p := t.find(s)
	if p == nil {
		return v
	}
	m := pcommon.NewMap()
	t.mergedIn(p, m)
	v.Merged = unprefixed(m).AsRaw()
	for _, f := range p.frames {
		if !f.dead {
			v.Pushed = append(v.Pushed, unprefixed(f.values).AsRaw())
		}
	}
	for e := p.stack.head; e != nil; e = p.stack.after(e) {
		t.look(e)
		v.Stack = append(v.Stack, viewOf(e))
	}
	return v
}
