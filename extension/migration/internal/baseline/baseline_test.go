package baseline

import (
	"context"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/operator"
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

const second = time.Second

func open(t *testing.T, s Store) *Book {
	b, err := Open(t.Context(), s, Config{
		Interval: second, MinSamples: 10, MinHourSamples: 5, Units: map[string]string{"p99": "s", "rate": "1/s"},
	})
	require.NoError(t, err)
	return b
}

// feed records n samples a second apart, from at on, of values p99 = value, and returns when it ended.
func feed(b *Book, at time.Time, n int, value float64) time.Time {
	for range n {
		b.Record(signal.Sample{At: at, Values: map[string]guard.Value{"p99": guard.Known(value), "rate": guard.Unknown("down")}}, second)
		at = at.Add(second)
	}
	return at
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestCollect(t *testing.T) {
	b := open(t, memory{})
	_, err := b.Begin("before", 20*second, "ann", "1", noon)
	require.NoError(t, err)
	feed(b, noon, 10, 0.001)
	assert.Equal(t, &operator.BaselineProgress{Name: "before", Observed: 10, Wanted: 20, Samples: 10}, b.Progress())
	feed(b, noon.Add(10*second), 10, 0.003)
	assert.Nil(t, b.Progress())
	done, err := b.Show("before")
	require.NoError(t, err)
	assert.Equal(t, Complete, done.State)
	s := done.Signals["p99"]
	assert.Equal(t, "s", s.Unit)
	assert.Equal(t, 20, s.Overall.Samples)
	assert.InDelta(t, 0.002, s.Overall.Mean, 1e-9)
	assert.InDelta(t, 0.001, s.Overall.P50, 1e-9)
	assert.InDelta(t, 0.003, s.Overall.P99, 1e-9)
	assert.NotContains(t, done.Signals, "rate", "what was never known is no signal of the baseline")
	assert.Equal(t, "before", b.ReferenceName())
}

// A collection goes on after the agent has ended, and makes nothing up for the time between.
func TestResumes(t *testing.T) {
	disk := memory{}
	b := open(t, disk)
	_, err := b.Begin("before", 20*second, "ann", "none", noon)
	require.NoError(t, err)
	feed(b, noon, 8, 0.001)
	b = open(t, maps.Clone(disk))
	assert.Equal(t, 8, b.Progress().Samples)
	feed(b, noon.Add(time.Hour), 12, 0.001)
	done, err := b.Show("before")
	require.NoError(t, err)
	assert.Equal(t, Complete, done.State)
	assert.Equal(t, 20, done.Samples)
	assert.Equal(t, map[int]int{12: 8, 13: 12}, map[int]int{12: done.Signals["p99"].Hours[12].Samples, 13: done.Signals["p99"].Hours[13].Samples})
}

func TestRefusedBelowAMinimum(t *testing.T) {
	b := open(t, memory{})
	_, err := b.Begin("short", 9*second, "", "", noon)
	require.ErrorIs(t, err, ErrRefused)
	_, err = b.Begin("a b", time.Minute, "", "", noon)
	require.ErrorIs(t, err, ErrRefused)
	_, err = b.Begin("one", time.Minute, "", "", noon)
	require.NoError(t, err)
	_, err = b.Begin("two", time.Minute, "", "", noon)
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorIs(t, b.Delete("one"), ErrBusy)
	feed(b, noon, 5, 1)
	stopped, err := b.Stop(noon.Add(5 * second))
	require.NoError(t, err)
	assert.Equal(t, TooSmall, stopped.State)
	assert.Contains(t, stopped.Message, "at least 10")
	_, ok := b.Reference("p99", noon)
	assert.False(t, ok)
	_, err = b.Compare(t.Context(), "one", Now)
	require.ErrorIs(t, err, ErrRefused)
	_, err = b.Begin("one", time.Minute, "", "", noon)
	require.ErrorIs(t, err, ErrRefused, "a name is used once")
	require.NoError(t, b.Delete("one"))
	_, err = b.Show("one")
	require.ErrorIs(t, err, ErrUnknown)
}

// Nights are compared with nights.
func TestLikeHours(t *testing.T) {
	disk := memory{}
	b := open(t, disk)
	_, err := b.Begin("day", 40*second, "", "", noon)
	require.NoError(t, err)
	feed(b, noon, 20, 10)                  // busy
	feed(b, noon.Add(12*time.Hour), 20, 1) // quiet
	day, ok := b.Reference("p99", noon.Add(24*time.Hour))
	require.True(t, ok)
	assert.InDelta(t, 10, day, 1e-9)
	night, ok := b.Reference("p99", noon.Add(36*time.Hour))
	require.True(t, ok)
	assert.InDelta(t, 1, night, 1e-9)
	other, ok := b.Reference("p99", noon.Add(3*time.Hour))
	require.True(t, ok)
	assert.InDelta(t, 5.5, other, 1e-9, "an hour that was not seen: all hours")

	feed(b, noon.Add(36*time.Hour), 10, 2)
	c, err := b.Compare(t.Context(), "day", Now)
	require.NoError(t, err)
	require.Len(t, c.Rows, 2)
	assert.Equal(t, []int{0}, c.Rows[0].Hours)
	assert.InDelta(t, 1, c.Rows[0].A.Mean, 1e-9, "the quiet hour alone")
	require.NotNil(t, c.Rows[0].Change)
	assert.InDelta(t, 1, *c.Rows[0].Change, 1e-9)
	assert.Nil(t, c.Rows[1].A)
}

func TestHistogramsOfTheTimeAlone(t *testing.T) {
	histogram := func(n float64) map[string]signal.Histogram {
		return map[string]signal.Histogram{"p99": {Bounds: []float64{1, 2, math.Inf(1)}, Counts: []float64{0, n, n}, Sum: n * 1.5}}
	}
	record := func(b *Book, at time.Time, n float64) {
		b.Record(signal.Sample{At: at, Values: map[string]guard.Value{"p99": guard.Known(1)}, Histograms: histogram(n)}, second)
	}
	disk := memory{}
	b := open(t, disk)
	record(b, noon, 1000) // before it begins
	_, err := b.Begin("x", 20*second, "", "", noon)
	require.NoError(t, err)
	for i := range 10 {
		record(b, noon, 1010+10*float64(i))
	}
	b = open(t, disk) // the sampler counts from zero again
	for i := range 10 {
		record(b, noon, 10+10*float64(i))
	}
	done, err := b.Show("x")
	require.NoError(t, err)
	observed := done.Signals["p99"].Observed
	require.NotNil(t, observed)
	assert.Equal(t, 200, observed.Samples)
	assert.InDelta(t, 1.5, observed.Mean, 1e-9)
	assert.InDelta(t, 1.5, observed.P50, 1e-9)
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	disk := memory{"baselines": []byte(`["x"]`), "baseline/x": []byte(`{"format":2,"name":"x","state":"collecting","chunks":0}`)}
	_, err := Open(t.Context(), disk, Config{})
	require.ErrorContains(t, err, "newer format")
}
