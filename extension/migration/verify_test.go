package migration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func TestVerifyAgainstTheBaseline(t *testing.T) {
	all, err := newCriteria(createDefaultConfig().(*Config))
	require.NoError(t, err)
	row := func(signal string, before, now float64) operator.BaselineDiff {
		return operator.BaselineDiff{Signal: signal, Unit: "u", A: &operator.BaselineStats{Samples: 60, Mean: before}, B: &operator.BaselineStats{Samples: 60, Mean: now}}
	}
	few := row("process_count", 1, 100)
	few.A.Samples = 59
	assert.Empty(t, all.worse(operator.BaselineComparison{A: "before", Rows: []operator.BaselineDiff{few}}, 60))
	assert.Empty(t, all.worse(operator.BaselineComparison{A: "before", Rows: []operator.BaselineDiff{
		row("errors", 10, 11.9), row("process_count", 100, 149), row("registry_not_found", 0, 0.9),
		row("registry_bytes", 1, 1e6), // no threshold of it is against the baseline
		{Signal: "response_time", A: &operator.BaselineStats{Samples: 60, Mean: 1}},
	}}, 60))
	assert.Equal(t, []string{
		"against baseline before: errors was 12.1 u on average in the last hour, the limit is 12 (+20 %)",
		"against baseline before: process_count was 151 u on average in the last hour, the limit is 150 (+50 %)",
	}, all.worse(operator.BaselineComparison{A: "before", Rows: []operator.BaselineDiff{row("errors", 10, 12.1), row("process_count", 100, 151)}}, 60))
}
