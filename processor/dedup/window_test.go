package dedup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

func TestFirstAndSummary(t *testing.T) {
	r := newRig(t, config(dedupRule(10*time.Second, emitFirstAndSummary)), &sink{}, nil, someTime)
	count := func(_ int, lr plog.LogRecord) { lr.Attributes().PutInt("measurement.count", 2) }
	for range 10 {
		r.send(events(1000, "test.event", "k", count))
		r.pass(100 * time.Millisecond)
	}
	require.Len(t, r.sink.all(), 1, "the first passes at once")
	r.pass(10 * time.Second)
	all := r.sink.all()
	require.Len(t, all, 2)
	s := all[1]
	require.Equal(t, "test.event", s.EventName())
	require.Equal(t, int64(10_000), intOf(t, s, attr.LogCount))
	require.Equal(t, int64(9_999), intOf(t, s, attr.AdjustedCount))
	require.Equal(t, int64(2*9_999), intOf(t, s, "measurement.count.sum"))
	require.Equal(t, int64(2), intOf(t, s, "measurement.count.min"))
	require.Equal(t, int64(2), intOf(t, s, "measurement.count.max"))
	raw := s.Attributes().AsRaw()
	require.Equal(t, true, raw[attr.Summary])
	require.Equal(t, "k", raw[attr.DedupKey])
	require.NotContains(t, raw, "measurement.count")
	first, err := time.Parse(time.RFC3339, raw[attr.FirstObserved].(string))
	require.NoError(t, err)
	require.Equal(t, someTime, first.UnixNano())
	last, err := time.Parse(time.RFC3339, raw[attr.LastObserved].(string))
	require.NoError(t, err)
	require.Equal(t, someTime+9e8, last.UnixNano())
}

func TestContinuousTroubleGivesASummaryAWindowAndNoNewFirst(t *testing.T) {
	r := newRig(t, config(dedupRule(10*time.Second, emitFirstAndSummary)), &sink{}, nil, someTime)
	for range 30 {
		r.send(events(10, "e", "k"))
		r.pass(time.Second)
	}
	r.pass(time.Second)
	all := r.sink.all()
	require.Len(t, all, 4, "a first and three summaries")
	ids := map[any]bool{}
	for i, s := range all[1:] {
		require.Equal(t, int64(100), intOf(t, s, attr.LogCount), i)
		ids[s.Attributes().AsRaw()[attr.RecordID]] = true
	}
	require.Len(t, ids, 3)
	require.Equal(t, int64(99), intOf(t, all[1], attr.AdjustedCount))
	require.Equal(t, int64(100), intOf(t, all[2], attr.AdjustedCount))
	require.Equal(t, 300.0, r.sink.weight())

	r.pass(10 * time.Second) // an empty window
	r.send(events(1, "e", "k"))
	require.Len(t, r.sink.all(), 5, "a first again")
	keys, _ := r.table.size()
	require.Equal(t, int64(1), keys)
}

func TestEventsAfterTheWindowAreNotOfIt(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Second, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(events(3, "e", "k"))
	r.time.Add(int64(1500 * time.Millisecond)) // the outlet is late
	r.send(events(2, "e", "k"))
	r.step()
	all := r.sink.all()
	require.Len(t, all, 2)
	require.Equal(t, int64(3), intOf(t, all[1], attr.LogCount))
	r.pass(time.Second)
	require.Equal(t, int64(2), intOf(t, r.sink.all()[2], attr.LogCount))
	require.Equal(t, 5.0, r.sink.weight())
}

func TestEmitFirstCarriesWhatItSuppressed(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Second, emitFirst)), &sink{}, nil, someTime)
	r.send(events(10, "e", "k"))
	r.pass(2 * time.Second)
	r.send(events(1, "e", "k"))
	all := r.sink.all()
	require.Len(t, all, 2)
	require.Equal(t, int64(10), intOf(t, all[1], attr.AdjustedCount))
	require.Equal(t, 11.0, r.sink.weight())
}

func TestEmitSummary(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Second, emitSummary)), &sink{}, nil, someTime)
	r.send(events(10, "e", "k"))
	require.Empty(t, r.sink.all())
	r.pass(1100 * time.Millisecond)
	require.Equal(t, int64(10), intOf(t, r.sink.all()[0], attr.LogCount))
	require.Equal(t, 10.0, r.sink.weight())
}

func TestUniqueEventsPassAndHoldNothing(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Second, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(events(1000, "e", "", func(i int, lr plog.LogRecord) { lr.Body().SetStr(fmt.Sprint(i)) }))
	require.Len(t, r.sink.all(), 1000)
	for _, s := range r.table.shards {
		require.Zero(t, s.bytes)
	}
	r.pass(2 * time.Second)
	keys, _ := r.table.size()
	require.Zero(t, keys)
	require.Len(t, r.sink.all(), 1000)
}

func TestFailedFirstLeavesNoTrace(t *testing.T) {
	next := &sink{}
	r := newRig(t, config(dedupRule(time.Second, emitFirstAndSummary)), next, nil, someTime)
	next.fail = func() error { return errors.New("down") }
	require.Error(t, r.ConsumeLogs(context.Background(), events(5, "e", "k")))
	next.fail = nil
	r.pass(2 * time.Second)
	require.Empty(t, next.all())
	r.send(events(5, "e", "k"))
	r.pass(2 * time.Second)
	require.Equal(t, 5.0, next.weight())
}

func TestPermanentErrorCountsAsRefused(t *testing.T) {
	next := &sink{}
	r := newRig(t, config(dedupRule(time.Second, emitFirstAndSummary)), next, nil, someTime)
	next.fail = func() error { return consumererror.NewPermanent(errors.New("no")) }
	require.Error(t, r.ConsumeLogs(context.Background(), events(5, "e", "k")))
	next.fail = nil
	r.pass(2 * time.Second)
	require.Equal(t, 4.0, next.weight(), "the duplicates were taken in")
	require.Equal(t, 1.0, r.rules[0].stats.refused.load())
	require.Equal(t, 5.0, r.rules[0].stats.in.load())
}

// Several senders have duplicates of one key in flight while the next consumer fails; each sends again until it is taken.
func TestDuplicatesInFlightWhileTheNextConsumerFails(t *testing.T) {
	next := &sink{}
	r := newRig(t, config(dedupRule(50*time.Millisecond, emitFirstAndSummary)), next, nil, someTime)
	calls := 0
	next.fail = func() error {
		if calls++; calls%3 != 0 {
			return errors.New("down")
		}
		return nil
	}
	const senders, batches, size = 8, 50, 20
	var wg sync.WaitGroup
	done := make(chan struct{})
	stepped := make(chan struct{})
	go func() {
		defer close(stepped)
		for {
			select {
			case <-done:
				return
			default:
				r.pass(time.Millisecond)
			}
		}
	}()
	for g := range senders {
		wg.Go(func() {
			for b := range batches {
				edit := func(i int, lr plog.LogRecord) {
					lr.Attributes().PutStr(attr.DedupKey, fmt.Sprint((g+b+i)%7))
				}
				for r.ConsumeLogs(context.Background(), events(size, "e", "", edit)) != nil {
				}
			}
		})
	}
	wg.Wait()
	close(done)
	<-stepped
	next.mu.Lock()
	next.fail = nil
	next.mu.Unlock()
	for range 20 {
		r.pass(time.Second)
	}
	require.Equal(t, float64(senders*batches*size), next.weight())
	require.Zero(t, r.rules[0].stats.held.load())
	require.Zero(t, r.table.waiting.records.Load())
	require.Zero(t, r.table.waiting.bytes.Load())
}
