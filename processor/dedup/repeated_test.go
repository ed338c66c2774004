package dedup

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// summaryOf is a batch of n summaries of ten events each, all of that identity.
func summaryOf(id string, n int) plog.Logs {
	return events(n, "a", "k", func(_ int, lr plog.LogRecord) {
		lr.Attributes().PutBool(attr.Summary, true)
		lr.Attributes().PutInt(attr.AdjustedCount, 10)
		lr.Attributes().PutStr(attr.RecordID, id)
	})
}

var trusted = door.WithCaller(context.Background(), door.Caller{})

func TestSummaryThatComesTwiceCountsOnce(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Second, emitFirstAndSummary)), &sink{}, nil, someTime)
	for range 3 {
		require.NoError(t, r.ConsumeLogs(trusted, summaryOf("one", 2)))
	}
	require.NoError(t, r.ConsumeLogs(trusted, summaryOf("two", 1)))
	r.pass(2 * time.Second)
	require.Equal(t, map[string]float64{"a/one": 20}, r.sink.weighed())
	require.Equal(t, int64(5), r.repeated.Load())
}

// Without trust an identity is no more than an attribute to be stripped.
func TestSummariesOfStrangersAreNotKnown(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Second, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(summaryOf("one", 1))
	r.send(summaryOf("one", 1))
	r.pass(2 * time.Second)
	require.Equal(t, map[string]float64{"a/one": 2}, r.sink.weighed())
	require.Zero(t, r.repeated.Load())
}

// What failed may come again, and while nobody knows whether it failed the other one must wait.
func TestSummaryMayComeAgainAfterAFailure(t *testing.T) {
	next := &sink{}
	r := newRig(t, config(Rule{Sampling: &SamplingConfig{Strategy: sampleAlways}}), next, nil, someTime)
	var meanwhile error
	calls := 0
	next.fail = func() error {
		if calls++; calls == 1 {
			meanwhile = r.ConsumeLogs(trusted, summaryOf("one", 1))
			return errors.New("down")
		}
		return nil
	}
	require.Error(t, r.ConsumeLogs(trusted, summaryOf("one", 1)))
	require.ErrorIs(t, meanwhile, errSettling)
	require.NoError(t, r.ConsumeLogs(trusted, summaryOf("one", 1)))
	require.NoError(t, r.ConsumeLogs(trusted, summaryOf("one", 1)))
	require.Equal(t, map[string]float64{"a/one": 10}, next.weighed())
	require.Equal(t, int64(1), r.repeated.Load())
}

// The latest are remembered, in two generations, whatever comes.
func TestRecentIsBounded(t *testing.T) {
	r := newRecent()
	for id := range uint64(3 * recentEach) {
		known, _ := r.claim(id)
		require.False(t, known)
		r.settle([]uint64{id}, true)
	}
	require.LessOrEqual(t, len(r.young)+len(r.old), 2*recentEach)
	known, settled := r.claim(2*recentEach + 1)
	require.True(t, known && settled)
}
