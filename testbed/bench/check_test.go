package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/backend"
)

// account is what a backend counted of one run.
type account struct {
	Logs  backend.LogTotals
	Spans backend.SpanTotals
}

// verify sends a part of the scenario's load with a real backend behind the agent and checks what leaves.
func verify(t *testing.T, s scenario, c contender, records int) account {
	b, err := backend.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Stop()) }()
	l := begin(t, c, b)
	sent := l.send(t, s.source(t), records).Accepted
	l.end()
	at := account{Logs: b.Logs().Event("order.failed"), Spans: b.Spans().Totals()}
	s.check(t, sent, l, at)
	return at
}

// checkWeights: the weights that left are the records that came in.
func checkWeights(t *testing.T, sent int, _ *life, at account) {
	require.Zero(t, at.Logs.Wrong, "records that cannot be right")
	require.InDelta(t, sent, at.Logs.Weight, 0.5, "the sum of the weights that left: %+v", at.Logs)
}

// checkSpans: every span left once, whole.
func checkSpans(t *testing.T, sent int, _ *life, at account) {
	require.Zero(t, at.Spans.Wrong, "half spans, or spans that end before they start")
	require.Equal(t, sent, at.Spans.Once(), "%+v", at.Spans)
	require.Empty(t, at.Spans.Reasons, "no span was ended by the agent")
}
