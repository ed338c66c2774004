package openspans

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// testClock stands still until it is moved.
type testClock struct{ at int64 }

func (c *testClock) now() int64            { return c.at }
func (c *testClock) of(at time.Time) int64 { return at.UnixNano() }

// modelSpan is what the simple model knows of a span that was started.
type modelSpan struct {
	key
	order  int // of the starts
	parent pcommon.SpanID
	who    spans.Sender
	opened int64
	reason string // it left, or has to leave, with; "" while it is open, "normal" for an end
	left   bool
}

// model is the table as a reader would draw it: a list of spans for each process, innermost last.
type model struct {
	t      *rapid.T
	clock  *testClock
	table  *table
	cfg    *Config
	stacks map[spans.Sender][]*modelSpan
	all    map[key]*modelSpan
	next   int
}

// Every span that was started leaves exactly once, with the parent and the reason that the model says, for
// any order of starts, ends, updates, duplicates, deaths, timeouts, evictions and restarts.
func TestEverySpanLeavesOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.MaxSpansPerAgent = rapid.IntRange(3, 12).Draw(rt, "max_spans_per_agent")
		cfg.MaxEnded = 1000
		cfg.Timeout = time.Minute
		cfg.EndWait = time.Hour
		cfg.EndedTTL = 24 * time.Hour
		clock := &testClock{at: time.Now().UnixNano()}
		m := &model{
			t: rt, clock: clock, cfg: cfg, table: newTable(cfg, zap.NewNop(), clock),
			stacks: map[spans.Sender][]*modelSpan{}, all: map[key]*modelSpan{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"start":              m.start,
			"start elsewhere":    m.startOfAnotherTrace,
			"start with parent":  m.startWithParent,
			"start again":        m.startAgain,
			"end top":            m.endTop,
			"end one":            m.endOne,
			"end again":          m.endAgain,
			"end, then start":    m.endThenStart,
			"update":             m.update,
			"agent dies":         m.agentDies,
			"process dies":       m.processDies,
			"time passes":        m.timePasses,
			"deliver":            func(*rapid.T) { m.deliver() },
			"complete passes":    m.completePasses,
			"complete is denied": m.completeIsDenied,
			"restart":            m.restart,
			"":                   func(*rapid.T) { m.check() },
		})
		m.timePassesBy(2 * cfg.Timeout)
		m.deliver()
		for _, s := range m.all {
			require.True(rt, s.left, "span %s of %v never left", s.span, s.who)
		}
		require.Zero(rt, m.table.held.spans)
		require.Zero(rt, m.table.out.spans)
		require.Zero(rt, m.table.held.bytes)
		require.Zero(rt, m.table.out.bytes)
		require.Empty(rt, m.table.shapes.byKey)
		require.Empty(rt, m.table.agents)
	})
}

func (m *model) who(t *rapid.T) spans.Sender {
	return spans.Sender{Agent: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "agent"), Process: rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "process")}
}

// any draws an open span; nil where there is none.
func (m *model) any(t *rapid.T) *modelSpan {
	var open []*modelSpan
	for _, stack := range m.stacks {
		open = append(open, stack...)
	}
	if len(open) == 0 {
		t.Skip("nothing is open")
	}
	byOrder(open)
	return rapid.SampledFrom(open).Draw(t, "span")
}

func byOrder(all []*modelSpan) {
	slices.SortFunc(all, func(a, b *modelSpan) int { return a.order - b.order })
}

func (m *model) half(change func(ptrace.Span)) *half {
	in := spans.NewHalf()
	change(in.Span)
	h := readHalf(in.Span)
	h.shape = shapeKeyOf(in)
	return &h
}

func (m *model) startHalf(change func(ptrace.Span)) *half {
	return m.half(func(s ptrace.Span) {
		s.SetName("s")
		s.SetStartTimestamp(pcommon.Timestamp(m.clock.at))
		change(s)
	})
}

func (m *model) endHalf(change func(ptrace.Span)) *half {
	return m.half(func(s ptrace.Span) {
		s.SetEndTimestamp(pcommon.Timestamp(m.clock.at))
		change(s)
	})
}

// opened notes a span that the table has opened.
func (m *model) opened(who spans.Sender, ref spans.Ref, parent pcommon.SpanID) *modelSpan {
	s := &modelSpan{key: key{ref.TraceID, ref.SpanID}, parent: parent, who: who, opened: m.clock.at}
	require.Nil(m.t, m.all[s.key])
	s.order = len(m.all)
	require.Equal(m.t, parent, ref.ParentID)
	m.all[s.key] = s
	m.stacks[who] = append(m.stacks[who], s)
	m.evictions(who)
	return s
}

// evictions takes from the model what the table has evicted: of the same agent, and only where it was full.
func (m *model) evictions(who spans.Sender) {
	for e := m.table.leaving.head; e != nil; e = m.table.leaving.after(e) {
		s := m.all[e.key]
		if e.reason == evicted && s.reason == "" {
			require.Equal(m.t, who.Agent, s.who.Agent, "a flooder evicts its own")
			for _, other := range m.stacks[s.who] {
				newest := other.order == len(m.all)-1 // room was made for it before it was there
				require.False(m.t, other.parent == s.span && other.trace == s.trace && !newest, "a child is open still")
			}
			m.close(s, "evicted")
		}
	}
	n := 0
	for w, stack := range m.stacks {
		if w.Agent == who.Agent {
			n += len(stack)
		}
	}
	require.LessOrEqual(m.t, n, m.cfg.MaxSpansPerAgent)
}

func (m *model) close(s *modelSpan, reason string) {
	require.Empty(m.t, s.reason)
	s.reason = reason
	m.stacks[s.who] = slices.DeleteFunc(m.stacks[s.who], func(o *modelSpan) bool { return o == s })
}

func (m *model) top(who spans.Sender) *modelSpan {
	if stack := m.stacks[who]; len(stack) > 0 {
		return stack[len(stack)-1]
	}
	return nil
}

func (m *model) start(t *rapid.T) {
	who := m.who(t)
	top := m.top(who)
	ref, err := m.table.start(who, m.startHalf(func(ptrace.Span) {}))
	require.NoError(t, err)
	if top == nil {
		m.opened(who, ref, pcommon.SpanID{})
		return
	}
	require.Equal(t, top.trace, ref.TraceID)
	m.opened(who, ref, top.span)
}

func (m *model) startOfAnotherTrace(t *rapid.T) {
	who := m.who(t)
	m.next++
	ref, err := m.table.start(who, m.startHalf(func(s ptrace.Span) { s.SetTraceID(traceID(m.next)) }))
	require.NoError(t, err)
	m.opened(who, ref, pcommon.SpanID{})
}

func (m *model) startWithParent(t *rapid.T) {
	who, parent := m.who(t), m.any(t)
	ref, err := m.table.start(who, m.startHalf(func(s ptrace.Span) {
		s.SetTraceID(parent.trace)
		s.SetParentSpanID(parent.span)
	}))
	require.NoError(t, err)
	m.opened(who, ref, parent.span)
}

func (m *model) startAgain(t *rapid.T) {
	s := m.any(t)
	ref, err := m.table.start(s.who, m.startHalf(func(h ptrace.Span) { h.SetTraceID(s.trace); h.SetSpanID(s.span) }))
	require.NoError(t, err)
	require.Equal(t, s.span, ref.SpanID)
}

func (m *model) endTop(t *rapid.T) {
	who := m.who(t)
	top := m.top(who)
	ref, err := m.table.end(who, m.endHalf(func(ptrace.Span) {}))
	if top == nil {
		require.ErrorIs(t, err, spans.ErrNothingOpen)
		return
	}
	require.NoError(t, err)
	require.Equal(t, top.span, ref.SpanID)
	m.close(top, "normal")
}

func (m *model) endOne(t *rapid.T) {
	s := m.any(t)
	_, err := m.table.end(s.who, m.endHalf(func(h ptrace.Span) { h.SetTraceID(s.trace); h.SetSpanID(s.span) }))
	require.NoError(t, err)
	m.close(s, "normal")
}

// endAgain ends a span that has ended, by whatever reason: nothing comes of it.
func (m *model) endAgain(t *rapid.T) {
	all := slices.Collect(maps.Values(m.all))
	byOrder(all)
	for _, s := range all {
		if s.reason != "" {
			_, err := m.table.end(s.who, m.endHalf(func(h ptrace.Span) { h.SetTraceID(s.trace); h.SetSpanID(s.span) }))
			require.NoError(t, err)
			_, err = m.table.start(s.who, m.startHalf(func(h ptrace.Span) { h.SetTraceID(s.trace); h.SetSpanID(s.span) }))
			require.ErrorIs(t, err, spans.ErrEnded)
			return
		}
	}
	t.Skip("nothing has ended")
}

func (m *model) endThenStart(t *rapid.T) {
	who := m.who(t)
	m.next++
	ids := func(s ptrace.Span) { s.SetTraceID(traceID(1_000_000 + m.next)); s.SetSpanID(spanID(m.next)) }
	ref, err := m.table.end(who, m.endHalf(ids))
	require.NoError(t, err)
	require.True(t, ref.Waiting)
	m.all[key{ref.TraceID, ref.SpanID}] = &modelSpan{key: key{ref.TraceID, ref.SpanID}, who: who, opened: m.clock.at, order: len(m.all)}
	m.stacks[who] = append(m.stacks[who], m.all[key{ref.TraceID, ref.SpanID}])
	m.evictions(who)
	s := m.all[key{ref.TraceID, ref.SpanID}]
	// A waiting end that was evicted at once left without its start.
	if e := m.table.live(s.key); e == nil || e.state != waiting {
		m.close(s, "normal")
		return
	}
	_, err = m.table.start(who, m.startHalf(ids))
	require.NoError(t, err)
	m.close(s, "normal")
}

func (m *model) update(t *rapid.T) {
	s := m.any(t)
	_, err := m.table.update(s.who, m.half(func(h ptrace.Span) {
		h.SetTraceID(s.trace)
		h.SetSpanID(s.span)
		h.Attributes().PutInt("updated", 1)
	}))
	require.NoError(t, err)
}

func (m *model) agentDies(t *rapid.T) {
	m.clock.at += int64(time.Millisecond)
	agent := m.who(t).Agent
	m.table.down(agents.Down{AgentID: agent, Reason: agents.ReasonExited, At: time.Unix(0, m.clock.at)})
	for who := range m.stacks {
		if who.Agent == agent {
			m.closeAll(who, "agent_down")
		}
	}
	m.clock.at += int64(time.Millisecond)
}

func (m *model) processDies(t *rapid.T) {
	m.clock.at += int64(time.Millisecond)
	who := m.who(t)
	m.table.down(agents.Down{AgentID: who.Agent, Process: who.Process, Reason: agents.ReasonProcessDown, At: time.Unix(0, m.clock.at)})
	m.closeAll(who, "process_down")
	m.clock.at += int64(time.Millisecond)
}

func (m *model) closeAll(who spans.Sender, reason string) {
	for _, s := range slices.Clone(m.stacks[who]) {
		m.close(s, reason)
	}
}

func (m *model) timePasses(t *rapid.T) {
	m.timePassesBy(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
}

func (m *model) timePassesBy(d time.Duration) {
	for step := min(d, 10*time.Second); d > 0; d -= step {
		m.clock.at += int64(step)
		m.table.tick()
		m.table.tick()
	}
	m.clock.at += int64(2 * childGrace)
	m.table.tick()
	for _, stack := range m.stacks {
		for _, s := range slices.Clone(stack) {
			if ticks(m.clock.at) > ticks(s.opened+int64(m.cfg.Timeout)) { // the wheel sees no finer
				m.close(s, "timeout")
			}
		}
	}
}

// completePasses ends a span by its complete one.
func (m *model) completePasses(t *rapid.T) {
	s := m.any(t)
	p := m.table.Pass()
	require.True(t, p.Admit(s.who, completeSpan(s.key)))
	require.False(t, p.Admit(s.who, completeSpan(s.key)), "the same again in one batch")
	p.Done(nil)
	m.close(s, "normal")
	s.left = true // not by the outlet
}

// completeIsDenied has the next consumer refuse a complete span: it stays open, or meets its death after all.
func (m *model) completeIsDenied(t *rapid.T) {
	s := m.any(t)
	p := m.table.Pass()
	require.True(t, p.Admit(s.who, completeSpan(s.key)))
	if rapid.Bool().Draw(t, "dies meanwhile") {
		m.clock.at += int64(time.Millisecond)
		m.table.down(agents.Down{AgentID: s.who.Agent, Process: s.who.Process, At: time.Unix(0, m.clock.at)})
		m.closeAll(s.who, "process_down")
		m.clock.at += int64(time.Millisecond)
	}
	p.Done(fmt.Errorf("not now"))
}

func completeSpan(k key) ptrace.Span {
	s := ptrace.NewSpan()
	s.SetTraceID(k.trace)
	s.SetSpanID(k.span)
	s.SetStartTimestamp(1)
	s.SetEndTimestamp(2)
	return s
}

// deliver lets what is leaving leave, and holds it against the model.
func (m *model) deliver() {
	batch := m.table.batch()
	td, err := buildTraces(batch)
	require.NoError(m.t, err)
	for _, rs := range td.ResourceSpans().All() {
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			want := m.all[key{s.TraceID(), s.SpanID()}]
			require.NotNil(m.t, want)
			require.False(m.t, want.left, "it left twice")
			want.left = true
			require.Equal(m.t, want.parent, s.ParentSpanID())
			reason := "normal"
			if v, ok := s.Attributes().Get("foundation.span.end_reason"); ok {
				reason = v.Str()
			}
			require.Equal(m.t, want.reason, reason)
			require.LessOrEqual(m.t, s.StartTimestamp(), s.EndTimestamp())
		}
	}
	m.table.delivered(batch)
}

// restart stores the table and reads it back.
func (m *model) restart(*rapid.T) {
	im := newImage()
	require.NoError(m.t, m.table.snapshot(im.read))
	m.table = newTable(m.cfg, zap.NewNop(), m.clock)
	m.table.apply(im)
}

// check holds the table against the model after each step.
func (m *model) check() {
	open := 0
	for who, stack := range m.stacks {
		open += len(stack)
		p := m.table.find(who)
		if p == nil {
			require.Empty(m.t, stack)
			continue
		}
		var got, want []string
		for e := p.stack.head; e != nil; e = p.stack.after(e) {
			got = append(got, e.span.String())
		}
		for _, s := range stack {
			want = append(want, s.span.String())
		}
		require.Equal(m.t, want, got, "the stack of %v", who)
	}
	require.Equal(m.t, open, m.table.held.spans)
	var held, out int64
	for _, at := range m.table.index.places {
		switch e := at.entry; {
		case e == nil:
		case e.state == leaving:
			out += e.size()
		default:
			held += e.size()
		}
	}
	require.Equal(m.t, held, m.table.held.bytes, "the account of memory")
	require.Equal(m.t, out, m.table.out.bytes)
	require.Equal(m.t, m.table.index.len > 0, m.table.watched.Load())
}
