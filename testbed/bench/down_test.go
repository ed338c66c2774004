package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/load"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// outage is a backend that does not take what it is sent, for a while.
const outage = 12 * time.Second // longer than an interval of log_dedup, so that each must deliver during it

// backendDown sends events at a steady rate through an outage and compares what arrived with what was acknowledged.
func backendDown(t *testing.T, c contender, mood backend.Mood) []string {
	b, err := backend.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Stop()) }()
	l := begin(t, c, b)
	source, err := load.Logs("events", load.LogShape{Event: "order.failed", Batch: 200, Key: load.Cycle(1000)})
	require.NoError(t, err)
	b.Be(mood)
	l.mark(t)
	halt, done := make(chan struct{}), make(chan load.Result, 1)
	go func() {
		r, _ := load.Run(t.Context(), source, load.Options{Endpoint: l.endpoint, Rate: 20_000, Retry: true, Halt: halt})
		done <- r
	}()
	time.Sleep(outage)
	memory, err := monitor.MemoryOf(l.agent.PID())
	require.NoError(t, err)
	b.Be(backend.Accepts)
	time.Sleep(time.Second)
	close(halt)
	sent := <-done
	counted := func() int {
		at := b.Logs().Event("order.failed")
		if c.peer != "" {
			return at.LogCount // log_dedup gives no weights, only counts
		}
		return int(at.Weight + 0.5)
	}
	for deadline := time.Now().Add(25 * time.Second); counted() < sent.Accepted && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	l.end()
	return []string{c.name, fmt.Sprint(sent.Accepted), fmt.Sprint(counted()), fmt.Sprintf("%.1f %%", 100*float64(sent.Accepted-counted())/float64(sent.Accepted)),
		fmt.Sprint(sent.Retries), fmt.Sprintf("%d MiB", memory.Resident>>20), sent.Latency.P99.Round(10 * time.Microsecond).String()}
}

// downSection is one run each: losses are not a matter of medians.
func downSection(t *testing.T) report.Section {
	s := report.Section{
		Title: "The backend down, or slow",
		Text: fmt.Sprintf("20,000 events a second of 1,000 keys for %v without a backend (it refuses), then the same with one that answers each request 250 ms late; "+
			"each collector with the sending queue that its exporter has by default, the agent as shipped. Lost: acknowledged to the sender and in no count at the backend.", outage),
		Columns: []string{"contender", "in", "accounted for", "lost", "requests refused for now", "resident in the outage", "p99 of a request"},
	}
	for name, mood := range map[string]backend.Mood{"down": backend.Refuses, "slow": backend.Dawdles} {
		for _, c := range []contender{asShipped, logDedup} {
			t.Run(name+", "+c.name, func(t *testing.T) {
				row := backendDown(t, c, mood)
				row[0] += ", backend " + name
				s.Rows = append(s.Rows, row)
			})
		}
	}
	return s
}
