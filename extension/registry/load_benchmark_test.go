package registry

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// BenchmarkHTTP runs the built agent with 1,000 agents that beat every second over HTTP, and one reader at
// full speed. p99-ms is from the client's side, own-p99-ms the edge of the agent's own histogram below
// which 99 % lie. Run it with -benchtime 30s, on a quiet machine: the load comes from the same cores.
func BenchmarkHTTP(b *testing.B) {
	const beating = 1000
	agent := agenttest.Start(b, agenttest.Options{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second}
	b.Cleanup(client.CloseIdleConnections)
	do := func(method, path, token, body string) childAnswer {
		return call(&http.Client{Transport: withToken{token: token, to: "http://" + agent.Door, next: client.Transport}}, method, path, []byte(body))
	}
	tokens := make([]string, beating)
	for i := range tokens {
		a := do("PUT", fmt.Sprintf("/v1/agents/worker-%04d", i), "", `{"lease":"10s","labels":{"zone":"a"}}`)
		require.Equal(b, http.StatusCreated, a.Status, string(a.Body))
		tokens[i] = tokenIn(b, a.Body)
	}
	stop := make(chan struct{})
	var beats, failed atomic.Int64
	var beaters sync.WaitGroup
	for i, token := range tokens {
		beaters.Go(func() {
			path := fmt.Sprintf("/v1/agents/worker-%04d/heartbeat", i)
			wait := time.NewTimer(rand.N(time.Second))
			for {
				select {
				case <-stop:
					return
				case <-wait.C:
					wait.Reset(time.Second)
					if a := do("POST", path, token, `{"vitals":{"memory":123456789,"process_count":42}}`); a.Status != http.StatusOK {
						failed.Add(1)
					}
					beats.Add(1)
				}
			}
		})
	}
	var took []time.Duration
	began := time.Now()
	for b.Loop() {
		start := time.Now()
		a := do("GET", fmt.Sprintf("/v1/agents/worker-%04d", rand.IntN(beating)), "", "")
		took = append(took, time.Since(start))
		require.Equal(b, http.StatusOK, a.Status)
	}
	elapsed := time.Since(began)
	close(stop)
	beaters.Wait()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(ownQuantile(b, agent, 0.5), "own-p50-ms")
	b.ReportMetric(ownQuantile(b, agent, 0.99), "own-p99-ms")
	b.ReportMetric(float64(beats.Load())/elapsed.Seconds(), "beats/s")
	b.ReportMetric(float64(failed.Load()), "failed-beats")
}

// ownQuantile is the edge, in milliseconds, of the agent's histogram of get that holds the quantile.
func ownQuantile(b *testing.B, agent *agenttest.Agent, q float64) float64 {
	b.Helper()
	resp, err := http.Get(agent.MetricsURL())
	require.NoError(b, err)
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bufio.NewReader(resp.Body))
	require.NoError(b, err)
	for name, family := range families {
		if name != "otelcol_agent_registry_operation_duration" && name != "otelcol_agent_registry_operation_duration_seconds" {
			continue
		}
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if l.GetName() != "operation" || l.GetValue() != "get" {
					continue
				}
				h := m.GetHistogram()
				for _, bucket := range h.Bucket {
					if float64(bucket.GetCumulativeCount()) >= q*float64(h.GetSampleCount()) {
						return bucket.GetUpperBound() * 1000
					}
				}
			}
		}
	}
	require.Fail(b, "no histogram of get")
	return 0
}
