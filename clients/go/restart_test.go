package foundation

import (
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// -lives=20 is the long form.
var lives = flag.Int("lives", 4, "how many times the agent is started and stopped under load")

// Events are emitted while a real agent is stopped and started. What does not arrive is what the client says
// that it dropped; the process stays registered; nothing leaks.
func TestAgentThatComesAndGoes(t *testing.T) {
	backend := agenttest.StartBackend(t)
	state := t.TempDir()
	socket := filepath.Join(state, "app.sock")
	config := fmt.Sprintf(`
receivers: {foundation: {unix: {endpoint: %s}, registry: agent_registry, mount: [agent_registry]}}
exporters:
  %s
extensions:
  file_storage: {directory: %s, create_directory: true}
  agent_registry: {storage: file_storage}
  health_check:
service:
  extensions: [file_storage, agent_registry, health_check]
  pipelines: {logs: {receivers: [foundation], exporters: [otlp]}}
`, socket, backend.Exporter(), filepath.Join(state, "storage"))

	client, err := New("unix:"+socket, quiet(), WithQueue(16<<10), WithBatch(4<<10, 10*time.Millisecond)) // small: there are drops
	require.NoError(t, err)
	self, err := client.Register(t.Context(), "shop", Registration{Lease: 3 * time.Second})
	require.NoError(t, err, "an agent that is away is no error")

	stop := make(chan struct{})
	var emitting sync.WaitGroup
	for worker := range 2 {
		emitting.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
					_ = client.Emit(Event{Name: "load", Process: fmt.Sprint(worker), Measurements: Measurements{"i": float64(i)}})
				}
			}
		})
	}
	before := runtime.NumGoroutine()
	for range *lives {
		accepted := client.Stats().Accepted
		agent := agenttest.Start(t, agenttest.Options{Config: config, StateDir: state})
		require.Eventually(t, func() bool { return client.Stats().Accepted > accepted && self.Registered() }, 30*time.Second, time.Millisecond)
		agent.Stop()
		drops := client.Stats().Dropped
		require.Eventually(t, func() bool { return client.Stats().Dropped > drops }, 30*time.Second, time.Millisecond)
	}
	close(stop)
	emitting.Wait()
	last := agenttest.Start(t, agenttest.Options{Config: config, StateDir: state})
	defer last.Stop()
	require.Eventually(t, self.Registered, 30*time.Second, time.Millisecond)
	client.http.CloseIdleConnections()
	assert.LessOrEqual(t, runtime.NumGoroutine(), before+20, "connections and goroutines do not pile up")
	require.NoError(t, client.Close(t.Context()))
	var gone *Error
	require.ErrorAs(t, client.json(t.Context(), http.MethodGet, "/v1/agents/shop", nil, nil), &gone)
	assert.Equal(t, http.StatusNotFound, gone.Status, "it has said goodbye")

	stats := client.Stats()
	t.Logf("%+v", stats)
	require.Zero(t, stats.Rejected)
	require.Equal(t, stats.Emitted, stats.Accepted+stats.Dropped)
	arrived := func(records []agenttest.LogRecord) (distinct, unowned int) {
		seen := map[string]bool{}
		for _, r := range records {
			if r.EventName() != "load" {
				continue
			}
			i, _ := r.Attributes().Get("measurement.i")
			p, _ := r.Attributes().Get("foundation.process")
			seen[p.Str()+"/"+i.AsString()] = true
			if id, _ := r.Resource.Attributes().Get("agent.id"); id.Str() != "shop" {
				unowned++
			}
		}
		return len(seen), unowned
	}
	records := backend.WaitLogs("what was accepted arrives", func(records []agenttest.LogRecord) bool {
		n, _ := arrived(records)
		return n >= int(stats.Accepted)
	})
	distinct, unowned := arrived(records)
	assert.EqualValues(t, stats.Accepted, distinct)
	assert.Zero(t, unowned)
}
