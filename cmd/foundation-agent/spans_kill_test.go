package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// storedAfter is how long after its acknowledgement a call has to survive kill -9: the storage interval of
// the default configuration, and the time that a busy machine takes to write.
const storedAfter = 200*time.Millisecond + 200*time.Millisecond

// ledger is when the agent has acknowledged what.
type ledger struct {
	mu     sync.Mutex
	starts map[string]time.Time // by span id
}

// load starts and ends spans until the agent is gone, and notes what was acknowledged.
func (l *ledger) load(socket string, worker, round int) {
	client := agenttest.UnixClient(socket)
	defer client.CloseIdleConnections()
	var open []string
	for n := 0; ; n++ {
		var body bytes.Buffer
		var starts []string
		for i := range 50 {
			id := fmt.Sprintf("%02x%02x%08x%04x", worker+1, round, n, i)
			fmt.Fprintf(&body, `{"call":"span.start","name":"s","trace_id":"%016x%s","span_id":"%s"}`+"\n", 1, id, id)
			starts = append(starts, id)
		}
		for len(open) > 200 {
			id := open[0]
			open = open[1:]
			fmt.Fprintf(&body, `{"call":"span.end","trace_id":"%016x%s","span_id":"%s"}`+"\n", 1, id, id)
		}
		resp, err := client.Post("http://agent/v1/events", "application/x-ndjson", &body)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusAccepted {
			return
		}
		l.acknowledge(starts)
		open = append(open, starts...)
	}
}

func (l *ledger) acknowledge(starts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, id := range starts {
		l.starts[id] = now
	}
}

// Done when, point 6: kill -9 at a random moment under load, again and again. What was acknowledged before
// the storage interval is there.
func TestKillUnderLoad(t *testing.T) {
	const rounds = 20
	backend := agenttest.StartBackend(t)
	options := spansOverlay(t, backend, "{max_spans: 1000000, max_spans_per_agent: 1000000}")
	acknowledged := 0
	kept := map[string]bool{} // started, and acknowledged long enough before the kill that followed
	for round := range rounds {
		a := agenttest.Start(t, options)
		l := &ledger{starts: map[string]time.Time{}}
		var workers sync.WaitGroup
		for worker := range 2 {
			workers.Go(func() { l.load(a.Socket(), worker, round) })
		}
		time.Sleep(storedAfter + time.Duration(rand.IntN(300))*time.Millisecond) // the random moment
		killed := time.Now()
		a.Kill()
		workers.Wait()
		acknowledged += len(l.starts)
		for id, at := range l.starts {
			if killed.Sub(at) > storedAfter {
				kept[id] = true
			}
		}
	}
	a := agenttest.Start(t, options)
	endAll(t, a, kept)
	whole := map[string]int{}
	require.Eventually(t, func() bool {
		whole = map[string]int{}
		for _, s := range backend.Spans() {
			if _, missing := s.Attributes().Get(attr.StartMissing); !missing {
				whole[s.SpanID().String()]++
			}
		}
		return missing(kept, whole) == 0
	}, 30*time.Second, 100*time.Millisecond, "spans that were acknowledged are lost")
	repeats := 0
	for _, n := range whole {
		repeats += n - 1
	}
	t.Logf("%d kills: %d starts acknowledged, %d of them longer than %s before their kill, %d of these lost, %d spans came twice",
		rounds, acknowledged, len(kept), storedAfter, missing(kept, whole), repeats)
	assert.Greater(t, len(kept), 1000)
}

func missing(kept map[string]bool, whole map[string]int) (n int) {
	for id := range kept {
		if whole[id] == 0 {
			n++
		}
	}
	return n
}

// endAll ends the kept spans; of those that have ended nothing comes.
func endAll(t *testing.T, a *agenttest.Agent, kept map[string]bool) {
	t.Helper()
	var body bytes.Buffer
	for id := range kept {
		fmt.Fprintf(&body, `{"call":"span.end","trace_id":"%016x%s","span_id":"%s"}`+"\n", 1, id, id)
		if body.Len() > 1<<20 {
			post(t, a, &body)
		}
	}
	post(t, a, &body)
}

func post(t *testing.T, a *agenttest.Agent, body *bytes.Buffer) {
	t.Helper()
	status, answer := a.Post("/v1/events", "application/x-ndjson", body.String())
	require.Equal(t, http.StatusAccepted, status, answer)
	body.Reset()
}
