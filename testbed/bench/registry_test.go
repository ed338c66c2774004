package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/report"
	"github.com/foundation-agent/foundation-agent/testbed/shipped"
)

// beating is how many agents the registry serves while it is asked; each beats once a second.
const beating = 1000

// askRegistry registers the agents by the applications' door, lets them beat, and returns how long gets took.
func askRegistry(t *testing.T, gets int) []time.Duration {
	agent := agenttest.Start(t, agenttest.Options{
		Env:  []string{"OTLP_ENDPOINT=127.0.0.1:0", "PPROF_ENDPOINT=127.0.0.1:0", "OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:1"},
		Args: shipped.Args(t, nil),
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	call := func(method, id, path, token, body string) ([]byte, error) {
		req, err := http.NewRequest(method, fmt.Sprintf("http://%s/v1/agents/%s%s", agent.Door, id, path), strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Foundation-Agent-Token", token)
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode >= 300 {
			err = fmt.Errorf("%s: %s", resp.Status, answer)
		}
		return answer, err
	}
	tokens := make([]string, beating)
	for i := range tokens {
		answer, err := call(http.MethodPut, fmt.Sprintf("agent-%d", i), "", "", `{"labels":{"zone":"a"}}`)
		require.NoError(t, err)
		var registered struct{ Token string }
		require.NoError(t, json.Unmarshal(answer, &registered))
		tokens[i] = registered.Token
	}
	halt := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second / beating)
		defer tick.Stop()
		for i := 0; ; i = (i + 1) % beating {
			select {
			case <-tick.C:
				if _, err := call(http.MethodPost, fmt.Sprintf("agent-%d", i), "/heartbeat", tokens[i], `{"vitals":{"memory":1}}`); err != nil {
					t.Errorf("heartbeat: %v", err)
					return
				}
			case <-halt:
				return
			}
		}
	})
	took := make([]time.Duration, gets)
	for i := range took {
		begun := time.Now()
		_, err := call(http.MethodGet, fmt.Sprintf("agent-%d", i%beating), "", "", "")
		took[i] = time.Since(begun)
		require.NoError(t, err)
	}
	close(halt)
	wg.Wait()
	return took
}

// registrySection is the registry over HTTP, over rounds.
func registrySection(t *testing.T, rounds, gets int) (report.Section, []budgetResult) {
	quantiles := []float64{0.5, 0.95, 0.99}
	values := make([][]float64, len(quantiles))
	for range rounds {
		t.Run("registry over HTTP", func(t *testing.T) {
			took := askRegistry(t, gets)
			slices.Sort(took)
			for i, q := range quantiles {
				values[i] = append(values[i], float64(took[int(q*float64(len(took)-1))].Microseconds())/1000)
			}
		})
	}
	var row []string
	for _, v := range values {
		row = append(row, report.Of(v).String())
	}
	return report.Section{
			Title:   "Registry over HTTP",
			Text:    fmt.Sprintf("Get of one of %d agents that beat once a second each, as a client sees it: %d gets one after another.", beating, gets),
			Columns: []string{"p50, ms", "p95, ms", "p99, ms"}, Rows: [][]string{row}, Data: values,
		}, []budgetResult{
			{report.Budget{What: "registry over HTTP, 1,000 agents beating, p99 of get", First: 5, Then: 1, Unit: " ms"}, report.Of(values[2])},
		}
}
