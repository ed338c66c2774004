package series

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
)

// memory is a Store.
type memory map[string][]byte

func (m memory) Get(_ context.Context, key string) ([]byte, error) { return m[key], nil }

func (m memory) Put(values map[string][]byte) uint64 {
	for key, value := range values {
		if value == nil {
			delete(m, key)
		} else {
			m[key] = value
		}
	}
	return 0
}

func record(s *Series, at time.Time, value float64) {
	s.Record(signal.Sample{At: at, Values: map[string]guard.Value{"x": guard.Known(value), "y": guard.Unknown("away")}}, time.Second)
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestPointsAreMeansAndSurvive(t *testing.T) {
	disk := memory{}
	s, err := Open(t.Context(), disk, time.Minute, time.Hour)
	require.NoError(t, err)
	for i := range 6 {
		record(s, noon.Add(time.Duration(i)*20*time.Second), float64(i))
	}
	want := []Point{{At: noon, Values: map[string]float64{"x": 1}}, {At: noon.Add(time.Minute), Values: map[string]float64{"x": 4}}}
	assert.Equal(t, want, s.Between(noon, noon.Add(time.Hour)), "the one that is not full too")
	assert.Equal(t, want[1:], s.Between(noon.Add(time.Minute), noon.Add(time.Hour)))
	s, err = Open(t.Context(), disk, time.Minute, time.Hour)
	require.NoError(t, err)
	assert.Equal(t, want[:1], s.Between(time.Time{}, noon.Add(time.Hour)))
}

func TestRetention(t *testing.T) {
	disk := memory{}
	s, err := Open(t.Context(), disk, time.Second, 20*time.Minute)
	require.NoError(t, err)
	for i := range 3600 {
		record(s, noon.Add(time.Duration(i)*time.Second), 1)
	}
	points := s.Between(time.Time{}, noon.Add(time.Hour))
	assert.LessOrEqual(t, len(points), 20*60+2*pointsPerChunk)
	assert.GreaterOrEqual(t, len(points), 20*60)
	assert.LessOrEqual(t, len(disk), 8, "what is not kept is deleted")
}

func TestDamagedPointsAreNoReasonNotToStart(t *testing.T) {
	s, err := Open(t.Context(), memory{"series/1m0s": []byte("[1]"), "series/1m0s/1": []byte("{")}, time.Minute, time.Hour)
	require.NoError(t, err)
	assert.Empty(t, s.Between(time.Time{}, noon))
}
