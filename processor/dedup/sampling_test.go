package dedup

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

func samplingRule(s SamplingConfig) Rule { return Rule{Sampling: &s} }

func TestAlwaysAndNever(t *testing.T) {
	r := newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleAlways})), &sink{}, nil, someTime)
	r.send(events(10, "e", ""))
	require.Len(t, r.sink.all(), 10)

	r = newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleNever})), &sink{}, nil, someTime)
	r.send(events(10, "e", ""))
	r.pass(time.Hour)
	require.Empty(t, r.sink.all(), "no record to ride on, and max_wait 0")
	require.NoError(t, r.Shutdown(t.Context()))
	require.Equal(t, 10.0, r.sink.weight(), "it leaves at shutdown, where there is no storage")
}

func TestDroppedWeightLeavesAfterMaxWait(t *testing.T) {
	r := newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleRateLimited, Rate: 1, MaxWait: time.Minute})), &sink{}, nil, someTime)
	r.send(events(10, "e", ""))
	require.Len(t, r.sink.all(), 1)
	r.pass(61 * time.Second)
	all := r.sink.all()
	require.Len(t, all, 2)
	require.Equal(t, int64(9), intOf(t, all[1], attr.AdjustedCount))
	require.Equal(t, true, all[1].Attributes().AsRaw()[attr.Summary])
}

func TestRateLimitedCarriesWhatItDrops(t *testing.T) {
	r := newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleRateLimited, Rate: 10, Burst: 10})), &sink{}, nil, someTime)
	for range 10 {
		r.send(events(100, "e", ""))
		r.pass(time.Second)
	}
	require.Len(t, r.sink.all(), 100)
	r.send(events(1, "e", ""))
	require.Equal(t, 1001.0, r.sink.weight())
}

// Threshold and randomness are those of the probability sampling specification.
func TestRandomFollowsTheTrace(t *testing.T) {
	s := newRandom(0.25)
	require.Equal(t, uint64(0xc0000000000000), s.threshold)
	require.Equal(t, 4.0, s.factor)
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[8:], 0xffbfffffffffffff)
	kept, _ := s.keep(0, trace)
	require.False(t, kept, "the first byte of the low half is not random")
	binary.BigEndian.PutUint64(trace[8:], 0x00c0000000000000)
	kept, factor := s.keep(0, trace)
	require.True(t, kept)
	require.Equal(t, 4.0, factor)

	all := newRandom(1)
	kept, factor = all.keep(0, pcommon.TraceID{1})
	require.True(t, kept)
	require.Equal(t, 1.0, factor)
}

func TestRandomIsExactInExpectation(t *testing.T) {
	r := newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleRandom, Probability: 0.1})), &sink{}, nil, someTime)
	const n = 50_000
	for range n / 1000 {
		r.send(events(1000, "e", ""))
	}
	sigma := 10 * math.Sqrt(n*0.1*0.9)
	require.InDelta(t, n, r.sink.weight(), 5*sigma)
}

// In steady state the target is held within 10 %, and within two windows after the rate grew tenfold, and fell again.
func TestAdaptiveHoldsItsTarget(t *testing.T) {
	const target, window = 100.0, 10 * time.Second
	r := newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleAdaptive, Target: target, Window: window})), &sink{}, nil, someTime)
	rng := rand.New(rand.NewPCG(1, 2))
	// run sends at a rate, in batches of random size, and returns what left.
	run := func(rate int, d time.Duration) float64 {
		before := len(r.sink.all())
		due := 0.0
		for passed := time.Duration(0); passed < d; {
			step := time.Duration(1+rng.IntN(40)) * time.Millisecond
			passed += step
			r.time.Add(int64(step))
			due += float64(rate) * step.Seconds()
			r.send(events(int(due), "e", ""))
			due -= math.Floor(due)
		}
		return float64(len(r.sink.all()) - before)
	}
	run(1000, 2*window)
	steady := run(1000, 2*window)
	require.InEpsilon(t, target*20, steady, 0.1)
	run(10_000, 2*window)
	require.InEpsilon(t, target*10, run(10_000, window), 0.1)
	run(1000, 2*window)
	require.InEpsilon(t, target*10, run(1000, window), 0.1)
	run(5, 2*window)
	require.InDelta(t, 50, run(5, window), 1, "below the target everything passes")
}

func TestReservoirIsExactUniformAndKeepsTheAccount(t *testing.T) {
	const size, n, windows = 10, 100, 400
	next := &sink{}
	r := newRig(t, config(samplingRule(SamplingConfig{Strategy: sampleReservoir, Size: size, Window: time.Second})), next, nil, someTime)
	chosen := make([]int, n)
	for w := range windows {
		for half := range 2 {
			r.send(events(n/2, "e", "", func(i int, lr plog.LogRecord) { lr.Attributes().PutInt("i", int64(half*n/2+i)) }))
		}
		require.Len(t, next.all(), w*size)
		r.pass(1100 * time.Millisecond)
		require.Len(t, next.all(), (w+1)*size, "exactly k of a window")
	}
	require.Equal(t, float64(windows*n), next.weight())
	for _, lr := range next.all() {
		chosen[intOf(t, lr, "i")]++
		require.Equal(t, int64(n/size), intOf(t, lr, attr.AdjustedCount))
	}
	// Chi-square with n-1 = 99 degrees of freedom: above 162 with probability 1e-4.
	chi := 0.0
	for _, c := range chosen {
		expected := float64(windows*size) / n
		chi += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	require.Less(t, chi, 175.0)
}

func TestSummariesSkipSampling(t *testing.T) {
	rule := dedupRule(time.Second, emitFirstAndSummary)
	rule.Sampling = &SamplingConfig{Strategy: sampleNever}
	r := newRig(t, config(rule), &sink{}, nil, someTime)
	r.send(events(10, "e", "k"))
	require.Empty(t, r.sink.all())
	r.pass(1100 * time.Millisecond)
	all := r.sink.all()
	require.Len(t, all, 1)
	require.Equal(t, int64(10), intOf(t, all[0], attr.AdjustedCount), "the first that was dropped rides on the summary")
}
