package openspans

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

func logIn(ref spans.Ref, pairs ...string) plog.LogRecord {
	r := plog.NewLogRecord()
	r.SetTraceID(ref.TraceID)
	r.SetSpanID(ref.SpanID)
	for i := 0; i < len(pairs); i += 2 {
		r.Attributes().PutStr(pairs[i], pairs[i+1])
	}
	return r
}

func enriched(f *fixture, s spans.Sender, r plog.LogRecord) map[string]any {
	f.Enrich(s, r)
	return r.Attributes().AsRaw()
}

// Inner wins over outer, the later pushed over the earlier, the record's own over all.
func TestPrecedence(t *testing.T) {
	f := start(t, nil)
	require.NoError(t, f.PushContext(agentA, mapOf("base", "b", "k", "base")))
	outer, err := f.StartSpan(agentA, startHalf("outer", func(s ptrace.Span) { s.Attributes().PutStr("error_context.k", "outer") }))
	require.NoError(t, err)
	require.NoError(t, f.PushContext(agentA, mapOf("pushed", "1", "k", "pushed")))
	inner, err := f.StartSpan(agentA, startHalf("inner", func(s ptrace.Span) { s.Attributes().PutStr("error_context.k", "inner") }))
	require.NoError(t, err)
	require.NoError(t, f.PushContext(agentA, mapOf("k", "later")))
	require.NoError(t, f.PushContext(agentA, mapOf("k", "latest")))

	base := map[string]any{"error_context.base": "b", "error_context.pushed": "1"}
	with := func(k string) map[string]any {
		return map[string]any{"error_context.base": base["error_context.base"], "error_context.pushed": "1", "error_context.k": k}
	}
	trial := logIn(inner)
	assert.True(t, f.WouldEnrich(agentA, trial))
	assert.Zero(t, trial.Attributes().Len(), "nothing is added")
	assert.False(t, f.WouldEnrich(agentA, logIn(inner, "error_context.base", "own", "error_context.pushed", "own", "error_context.k", "own")))
	assert.Equal(t, with("latest"), enriched(f, agentA, logIn(inner)))
	assert.Equal(t, with("pushed"), enriched(f, agentA, logIn(outer)))
	assert.Equal(t, with("own"), enriched(f, agentA, logIn(inner, "error_context.k", "own")))
	require.NoError(t, f.PopContext(agentA))
	assert.Equal(t, with("later"), enriched(f, agentA, logIn(inner)))
	require.NoError(t, f.PopContext(agentA))
	assert.Equal(t, with("inner"), enriched(f, agentA, logIn(inner)))
}

// A record of a process gains the ids of the span on top; one of somebody else gains nothing.
func TestWhoseRecords(t *testing.T) {
	f := start(t, nil)
	ref := f.mustStart(agentA, "s")
	require.NoError(t, f.PushContext(agentA, mapOf("k", "v")))
	r := logIn(spans.Ref{}, "foundation.process", "p")
	assert.True(t, f.Enrich(spans.Sender{Agent: "a"}, r))
	assert.Equal(t, ref.TraceID, r.TraceID())
	assert.Equal(t, ref.SpanID, r.SpanID())
	for _, other := range []spans.Sender{{}, {Agent: "b"}} {
		assert.Empty(t, enriched(f, other, logIn(ref)))
		assert.False(t, f.Enrich(other, logIn(spans.Ref{})))
	}
	assert.EqualValues(t, 2, f.stats.untrusted.Load())
}

// Logs that come late find the context of their span; not for ever.
func TestLinger(t *testing.T) {
	f := start(t, func(c *Config) { c.Context.Linger = 300 * time.Millisecond })
	ref := f.mustStart(agentA, "s")
	require.NoError(t, f.PushContext(agentA, mapOf("k", "v")))
	f.mustEnd(agentA)
	span := f.left(1)[0]
	assert.Equal(t, map[string]any{"error_context.k": "v"}, span.Attributes().AsRaw())
	assert.Equal(t, map[string]any{"error_context.k": "v"}, enriched(f, agentA, logIn(ref)))
	require.Eventually(t, func() bool { return len(enriched(f, agentA, logIn(ref))) == 0 }, 5*time.Second, 10*time.Millisecond)
	// The pop of a context that ended with its span pops no other.
	require.NoError(t, f.PopContext(agentA))
	require.ErrorIs(t, f.PopContext(agentA), spans.ErrNoContext)
}

// A span that its complete one ended had what its start and its updates said.
func TestLingerAfterACompleteSpan(t *testing.T) {
	f := start(t, nil)
	ref, err := f.StartSpan(agentA, startHalf("s", func(s ptrace.Span) { s.Attributes().PutStr("error_context.first", "1") }))
	require.NoError(t, err)
	h := spans.NewHalf()
	h.Span.Attributes().PutStr("error_context.then", "2")
	_, err = f.UpdateSpan(agentA, h)
	require.NoError(t, err)
	p := f.Pass()
	require.True(t, p.Admit(agentA, completeSpan(key{ref.TraceID, ref.SpanID})))
	p.Done(nil)
	want := map[string]any{"error_context.first": "1", "error_context.then": "2"}
	assert.Equal(t, want, enriched(f, agentA, logIn(ref)))
}

func TestContextsAreBounded(t *testing.T) {
	f := start(t, func(c *Config) { c.Context.MaxDepth = 3; c.Context.MaxBytes = 100; c.Context.MaxProcesses = 2 })
	for range 3 {
		require.NoError(t, f.PushContext(agentA, mapOf("k", "v")))
	}
	require.ErrorIs(t, f.PushContext(agentA, mapOf("k", "v")), spans.ErrTooDeep)
	require.ErrorIs(t, f.SetContext(agentA, mapOf("k", strings.Repeat("x", 100))), spans.ErrTooLarge)
	for _, p := range []string{"1", "2"} {
		require.NoError(t, f.SetContext(spans.Sender{Agent: "a", Process: p}, mapOf("k", "v")))
	}
	values, err := f.Context(agentA)
	require.NoError(t, err)
	assert.Zero(t, values.Len(), "the process that was silent longest is forgotten")
	assert.Equal(t, 2, f.contexts)
}

func TestPropagation(t *testing.T) {
	f := start(t, nil)
	ref := f.mustStart(agentA, "s")
	require.NoError(t, f.PushContext(agentA, mapOf("k", "v")))
	p, err := f.Propagate(agentA)
	require.NoError(t, err)
	child := spans.Sender{Agent: "b", Process: "child"}
	require.NoError(t, f.Adopt(child, p))
	got := f.mustStart(child, "c")
	assert.Equal(t, ref.SpanID, got.ParentID)
	require.ErrorIs(t, f.Adopt(child, p), spans.ErrStackInUse)
	values, err := f.Context(child)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"k": "v"}, values.AsRaw())
}

// Several agents die at once; each leaves its spans and one obituary, and the others stay.
func TestDeaths(t *testing.T) {
	id := component.MustNewID("agent_registry")
	registry := &fakeRegistry{}
	f := startOn(t, testHost{map[component.ID]component.Component{id: registry}}, func(c *Config) { c.Registry = &id })
	defer f.stop()
	for _, agent := range []string{"a", "b", "c"} {
		for _, p := range []string{"p", "q"} {
			f.mustStart(spans.Sender{Agent: agent, Process: p}, "root")
			f.mustStart(spans.Sender{Agent: agent, Process: p}, "child")
		}
	}
	require.NoError(t, f.PushContext(spans.Sender{Agent: "a", Process: "q"}, mapOf("k", "v")))
	f.NoteError(spans.Sender{Agent: "a"}, 1, "it broke")
	f.NoteError(spans.Sender{}, 1, "whoever")
	died := agents.Down{AgentID: "a", Reason: agents.ReasonExited, Signal: "SIGKILL", PID: 7, At: time.Now()}
	registry.tell(died)
	registry.tell(agents.Down{AgentID: "b", Reason: agents.ReasonLeaseLost})
	registry.tell(agents.Down{AgentID: "c", Process: "q", Reason: agents.ReasonProcessDown})
	registry.tell(died) // told again, as after a restart
	got := f.left(10)
	for _, s := range got[:8] {
		assertForced(t, s, "agent_down")
	}
	for _, s := range got[8:] {
		assertForced(t, s, "process_down")
	}
	o, err := f.Events().Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "foundation.agent.down", o.Name)
	assert.Equal(t, "a", o.Resource["agent.id"])
	assert.Equal(t, "SIGKILL", o.Attributes["agent.down.signal"])
	assert.Equal(t, "v", o.Attributes["error_context.k"])
	assert.Len(t, o.Attributes["agent.down.spans"], 4)
	assert.Len(t, o.Attributes["agent.down.last_errors"], 1)
	o, err = f.Events().Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "b", o.Resource["agent.id"])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = f.Events().Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "one obituary a death")

	// Another life of the id keeps what it opens.
	f.mustStart(agentA, "reborn")
	registry.tell(agents.Down{AgentID: "a", Reason: agents.ReasonReplaced, At: died.At})
	held, _ := f.amounts()
	assert.Equal(t, 3, held.spans)
}

// Who cannot prove an agent id has no stack, and changes no entry.
func TestTrust(t *testing.T) {
	id := component.MustNewID("agent_registry")
	registry := &fakeRegistry{tokens: map[string]string{"a": "secret"}}
	f := startOn(t, testHost{map[component.ID]component.Component{id: registry}}, func(c *Config) { c.Registry = &id })
	defer f.stop()
	sender := func(token string) spans.Sender {
		return f.Sender(door.WithCaller(t.Context(), door.Caller{Token: token}), "a", "p")
	}
	good, bad := sender("secret"), sender("guess")
	assert.Equal(t, agentA, good)
	assert.False(t, bad.Proven())
	byMetadata := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{door.TokenHeader: {"secret"}})})
	assert.Equal(t, agentA, f.Sender(byMetadata, "a", "p"))
	assert.False(t, f.Sender(t.Context(), "a", "p").Proven())

	mine := f.mustStart(good, "mine")
	theirs := f.mustStart(bad, "theirs")
	assert.True(t, theirs.ParentID.IsEmpty())
	_, err := f.EndSpan(bad, endHalf(nil))
	require.ErrorIs(t, err, spans.ErrUnproven)
	_, err = f.EndSpan(bad, endHalf(func(s ptrace.Span) { s.SetTraceID(mine.TraceID); s.SetSpanID(mine.SpanID) }))
	require.ErrorIs(t, err, spans.ErrNotYours)
	require.ErrorIs(t, f.PushContext(bad, mapOf("k", "v")), spans.ErrUnproven)
	complete := ptrace.NewSpan()
	complete.SetTraceID(mine.TraceID)
	complete.SetSpanID(mine.SpanID)
	p := f.Pass()
	assert.True(t, p.Admit(bad, complete))
	p.Done(nil)
	f.mustEnd(good)
	f.left(1)
}

// switches is a provider of flags that a test switches.
type switches struct {
	component.StartFunc
	component.ShutdownFunc
	on map[string]*bool
}

type switchHandle struct {
	flag.Handle
	on *bool
}

func (h switchHandle) Enabled() bool { return *h.on }

func (s *switches) Bind(name string) (flag.Handle, error) {
	on, ok := s.on[name]
	if !ok {
		return nil, errors.New("no such flag: " + name)
	}
	return switchHandle{on: on}, nil
}

// Off is a drain: what is open finishes under the old rule.
func TestFlags(t *testing.T) {
	calls, management := true, true
	id := component.MustNewID("feature_flags")
	provider := &switches{on: map[string]*bool{"use_genserver_telemetry": &calls, "use_genserver_span_management": &management}}
	f := startOn(t, testHost{map[component.ID]component.Component{id: provider}}, func(c *Config) {
		c.Flags = &id
		c.Timeout = time.Second
	})
	defer f.stop()
	first := f.mustStart(agentA, "first")
	management = false
	unmanaged, err := f.StartSpan(agentA, startHalf("unmanaged", nil))
	require.NoError(t, err)
	assert.True(t, unmanaged.ParentID.IsEmpty(), "no stack")
	calls = false
	_, err = f.StartSpan(agentA, startHalf("refused", nil))
	require.ErrorIs(t, err, spans.ErrDisabled)
	require.ErrorIs(t, f.PushContext(agentA, mapOf("k", "v")), spans.ErrDisabled)
	_, err = f.EndSpan(agentA, endHalf(nil))
	require.NoError(t, err, "the stack drains")
	got := f.left(1)[0]
	assert.Equal(t, first.SpanID, got.SpanID())
	time.Sleep(1200 * time.Millisecond)
	f.left(1) // no timeout of the unmanaged one
	_, err = f.EndSpan(agentA, endHalf(func(s ptrace.Span) { s.SetTraceID(unmanaged.TraceID); s.SetSpanID(unmanaged.SpanID) }))
	require.NoError(t, err, "halves are paired, flag or no flag")
	f.left(2)
}
