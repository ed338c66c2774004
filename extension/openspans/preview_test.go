package openspans

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

func TestPreviewWhileTheFlagsAreOff(t *testing.T) {
	calls, management := false, false
	id := component.MustNewID("feature_flags")
	provider := &switches{on: map[string]*bool{"use_genserver_telemetry": &calls, "use_genserver_span_management": &management}}
	f := startOn(t, testHost{map[component.ID]component.Component{id: provider}}, func(c *Config) {
		c.Flags = &id
		c.Timeout = 10 * time.Millisecond
	})
	defer f.stop()
	previews := f.OperatorTables()[0].(operator.Previewer).Previews
	call := func() {
		_, err := f.StartSpan(agentA, startHalf("refused", nil))
		require.ErrorIs(t, err, spans.ErrDisabled)
		require.ErrorIs(t, f.PushContext(agentA, mapOf("k", "v")), spans.ErrDisabled)
		_, err = f.EndSpan(agentA, endHalf(nil))
		require.ErrorIs(t, err, spans.ErrDisabled)
		_, err = f.StartSpan(agentA, startHalf("refused", nil))
		require.ErrorIs(t, err, spans.ErrDisabled)
	}
	call()
	got := previews()
	require.Len(t, got, 2)
	assert.Equal(t, "use_genserver_telemetry", got[0].Flag)
	assert.Contains(t, got[0].Summary, "ask again", "nobody had asked before")
	assert.Equal(t, "use_genserver_span_management", got[1].Flag)
	assert.Contains(t, got[1].Summary, "of 0 spans")

	call()
	calls = true // management stays off
	_, err := f.StartSpan(agentA, startHalf("held", nil))
	require.NoError(t, err)
	_, err = f.StartSpan(spans.Sender{}, startHalf("anyone's", func(s ptrace.Span) { s.SetTraceID(traceID(1)); s.SetSpanID(spanID(1)) }))
	require.NoError(t, err)
	time.Sleep(f.cfg.Timeout)
	assert.Equal(t, map[string]any{"spans": 2, "stacked": 1, "processes": 1, "overdue": 2}, previews()[1].Detail)
	calls = false
	got = previews()
	assert.Contains(t, got[0].Summary, "of 4 span and context calls in 0s all would be recorded; 1 of the 2 spans")
	assert.Greater(t, got[0].Detail["bytes"], int64(entryOverhead))

	calls, management = true, true
	assert.Contains(t, previews()[0].Summary, "are taken")
	assert.Contains(t, previews()[1].Summary, "are kept")
}
