package openspans

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// What halves say joins in the same way whether they are held as pdata or as bytes.
func TestBodiesJoin(t *testing.T) {
	said := func(name string, change func(ptrace.Span)) ptrace.Span {
		s := ptrace.NewSpan()
		s.SetName(name)
		change(s)
		return s
	}
	event := func(s ptrace.Span, name string) { s.Events().AppendEmpty().SetName(name) }
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprintf("packed=%t", packed), func(t *testing.T) {
			var b body
			assert.True(t, b.empty())
			for _, later := range []ptrace.Span{
				said("first", func(s ptrace.Span) {
					s.SetKind(ptrace.SpanKindServer)
					s.Attributes().PutStr("k", "first")
					s.Attributes().PutStr("only", "first")
					event(s, "one")
				}),
				said("", func(s ptrace.Span) {
					s.Status().SetCode(ptrace.StatusCodeError)
					s.Status().SetMessage("why")
					s.Attributes().PutStr("k", "then")
					event(s, "one")
					event(s, "two")
				}),
			} {
				assert.False(t, b.add(later))
				if packed {
					b.pack()
				}
			}
			assert.True(t, b.add(said("", func(s ptrace.Span) { event(s, "two") })), "it is known")
			got, err := b.open()
			require.NoError(t, err)
			assert.Equal(t, "first", got.Name())
			assert.Equal(t, ptrace.SpanKindServer, got.Kind())
			assert.Equal(t, ptrace.StatusCodeError, got.Status().Code())
			assert.Equal(t, "why", got.Status().Message())
			assert.Equal(t, map[string]any{"k": "then", "only": "first"}, got.Attributes().AsRaw())
			assert.Equal(t, 2, got.Events().Len())
		})
	}
}

// A span that stays open while many others start is packed, and leaves whole.
func TestOldSpansArePacked(t *testing.T) {
	f := start(t, nil)
	old, err := f.StartSpan(agentA, startHalf("old", func(s ptrace.Span) { s.Attributes().PutStr("k", "v") }))
	require.NoError(t, err)
	for range maxFresh {
		f.mustStart(spans.Sender{Agent: "busy"}, "s")
	}
	f.mu.Lock()
	assert.NotNil(t, f.live(key{old.TraceID, old.SpanID}).base.packed)
	f.mu.Unlock()
	f.mustEnd(agentA)
	got := f.left(1)[0]
	assert.Equal(t, "old", got.Name())
	assert.Equal(t, map[string]any{"k": "v"}, got.Attributes().AsRaw())
}
