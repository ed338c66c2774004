package guard

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		text, atLeast, unit string
		baseline            float64
		limit               float64
		good, bad           float64
	}{
		{"< 5ms", "", "s", 0, 0.005, 0.0049, 0.005},
		{"<=5ms", "", "ms", 0, 5, 5, 5.1},
		{"< 100us", "", "s", 0, 0.0001, 0.00009, 0.0002},
		{">= 10000", "", "{event}/s", 0, 10000, 10000, 9999},
		{"> 10", "", "1", 0, 10, 11, 10},
		{"< 500MB", "", "By", 0, 500e6, 499e6, 500e6},
		{"< 10 MiB", "", "MiBy", 0, 10, 9, 11},
		{"< 1MB/h", "", "By/h", 0, 1e6, 0, 1e6},
		{"< 60/min", "", "{x}/s", 0, 1, 0.9, 1},
		{"< 5 %", "", "1", 0, 0.05, 0.04, 0.05},
		{"< 0.5", "", "1", 0, 0.5, 0.4, 0.5},
		{"+20 %", "", "s", 10, 12, 12, 12.1},
		{"+ 100%", "", "s", 10, 20, 20, 21},
		{"-10 %", "", "s", 10, 9, 9, 8.9},
		{"+20 %", "5ms", "s", 0.001, 0.005, 0.005, 0.006},
		{"+20 %", "1", "{error}/s", 0, 1, 1, 1.1},
		{"+20 %", "1", "{error}/s", 10, 12, 12, 12.5},
		{"+20 %", "", "By/h", -10, -8, -8, -7},
	} {
		threshold, err := ParseThreshold(c.text, c.atLeast, c.unit)
		require.NoError(t, err, c.text)
		limit := threshold.Limit(c.baseline)
		assert.InDelta(t, c.limit, limit, 1e-9, c.text)
		assert.True(t, threshold.Holds(c.good, limit), "%s: %g is good", c.text, c.good)
		assert.False(t, threshold.Holds(c.bad, limit), "%s: %g is bad", c.text, c.bad)
		assert.Equal(t, c.text, threshold.String())
	}
}

func TestThresholdErrorsSayWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ text, atLeast, unit, want string }{
		{"5ms", "", "s", "must be like"},
		{"", "", "s", "must be like"},
		{"== 5", "", "s", "must be like"},
		{"+20", "", "s", "must be like"},
		{"< 5MB", "", "s", "no duration"},
		{"< 5ms", "", "By", "no number of bytes"},
		{"< 5ms", "", "{event}/s", "leave the unit away"},
		{"< 1MB/h", "", "By", "is a rate"},
		{"< 1MB/fortnight", "", "By/h", "per must be one of"},
		{"< NaN", "", "s", "finite"},
		{"< 5ms", "1ms", "s", "against the baseline"},
		{"+20 %", "much", "s", "at_least"},
	} {
		_, err := ParseThreshold(c.text, c.atLeast, c.unit)
		require.ErrorContains(t, err, c.want, c.text)
	}
}

func FuzzParseThreshold(f *testing.F) {
	f.Add("< 5ms", "", "s")
	f.Add("+20 %", "1MB", "By/h")
	f.Add(">= 1e400", "", "1")
	f.Fuzz(func(t *testing.T, text, atLeast, unit string) {
		threshold, err := ParseThreshold(text, atLeast, unit)
		if err != nil {
			return
		}
		again, err := ParseThreshold(threshold.String(), atLeast, unit)
		require.NoError(t, err)
		require.Equal(t, threshold, again)
	})
}
