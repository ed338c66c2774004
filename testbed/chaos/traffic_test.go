package chaos

import (
	"context"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/load"
)

// kind of traffic, which has an account of its own.
type kind string

const (
	events kind = "events"
	plain  kind = "plain logs"
	pairs  kind = "span pairs"
)

// rates in records a second: enough that every moment has requests in flight, little enough that a restart catches up.
var rates = map[kind]float64{events: 20_000, plain: 2_000, pairs: 2_000}

// traffic is load that runs beside a fault. Senders retry what is refused for now, as SDKs and collectors do.
type traffic struct {
	sources map[kind]*load.Source
	cancel  context.CancelFunc
	halt    chan struct{}
	wg      sync.WaitGroup

	mu       sync.Mutex
	history  map[kind][]moment
	results  map[kind]load.Result
	problems []error
}

// moment is how many records were acknowledged until then.
type moment struct {
	at    time.Time
	total int
}

func begin(t *trial) *traffic {
	l := &traffic{sources: map[kind]*load.Source{}, halt: make(chan struct{}), history: map[kind][]moment{}, results: map[kind]load.Result{}}
	var err error
	l.sources[events], err = load.Logs("events", load.LogShape{Event: "order.failed", Batch: 200, Key: load.Cycle(1000)})
	require.NoError(t, err)
	l.sources[plain], err = load.Logs("plain", load.LogShape{Batch: 50, Key: load.Unique})
	require.NoError(t, err)
	l.sources[pairs], err = load.Pairs("pairs", load.SpanShape{Batch: 50})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for k, source := range l.sources {
		l.wg.Go(func() {
			result, err := load.Run(ctx, source, load.Options{
				Endpoint: t.otlp, Senders: 2, Rate: rates[k], Retry: true, Halt: l.halt,
				Accepted: func(n int) { l.accepted(k, n) },
			})
			l.mu.Lock()
			defer l.mu.Unlock()
			l.results[k] = result
			if err != nil {
				l.problems = append(l.problems, err)
			}
		})
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

func (l *traffic) accepted(k kind, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.history[k]
	total := n
	if len(h) > 0 {
		total += h[len(h)-1].total
	}
	l.history[k] = append(h, moment{time.Now(), total})
}

// acceptedBefore gives the records of each kind that were acknowledged before a time.
func (l *traffic) acceptedBefore(at time.Time) map[kind]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	totals := map[kind]int{}
	for k, h := range l.history {
		for _, m := range h {
			if m.at.After(at) {
				break
			}
			totals[k] = m.total
		}
	}
	return totals
}

// flows waits until records of every kind are acknowledged from now on.
func (l *traffic) flows(t *trial) {
	t.Helper()
	since := l.acceptedBefore(time.Now())
	t.until("all kinds of records should be accepted", func() bool {
		now := l.acceptedBefore(time.Now())
		for k := range l.sources {
			if now[k] <= since[k] {
				return false
			}
		}
		return true
	})
}

// stop lets requests that were begun come to their end, retries included, and gives the accounts.
func (l *traffic) stop(t *trial) map[kind]load.Result {
	t.Helper()
	close(l.halt)
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		l.cancel() // what hangs is cut off and counts as unknown
		<-done
		t.Errorf("senders hung for %v after the fault was over", patience)
	}
	require.Empty(t, l.problems)
	return l.results
}
