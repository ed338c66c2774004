package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/backend"
)

// verify sends a part of the scenario's load with a real backend behind the agent and checks what leaves.
func verify(t *testing.T, s scenario, c contender, records int) {
	b, err := backend.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Stop()) }()
	l := begin(t, c, b)
	if s.before != nil {
		s.before(t, l)
	}
	end := s.besides(t, l)
	sent := l.send(t, s.sources(t), records).Accepted
	end()
	l.end()
	s.check(t, sent, b)
}

// checkWeights: the weights that left are the records that came in.
func checkWeights(t *testing.T, sent int, b *backend.Backend) {
	at := b.Logs().Event("order.failed")
	require.Zero(t, at.Wrong, "records that cannot be right")
	require.InDelta(t, sent, at.Weight, 0.5, "the sum of the weights that left: %+v", at)
}

// checkSpans: every span left once, whole.
func checkSpans(t *testing.T, sent int, b *backend.Backend) {
	at := b.Spans().Totals()
	require.Zero(t, at.Wrong, "half spans, or spans that end before they start")
	require.Equal(t, sent, at.Once(), "%+v", at)
	require.Empty(t, at.Reasons, "no span was ended by the agent")
}
