package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// daemonset.yaml as a pod of the node and a process of the node meet it: OTLP takes the token's bearer and nobody
// else, and an agent that asks for it is scraped.
func TestNodeDaemonSet(t *testing.T) {
	o := agenttest.Options{
		Binary:  nodeBinary(t),
		Shipped: []string{"daemonset.yaml"},
		Env:     []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + agenttest.StartBackend(t).Endpoint},
	}
	withoutCluster(t, &o)
	a := agenttest.Start(t, o)
	for token, status := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, "let-me-in": http.StatusOK} {
		req, err := http.NewRequest(http.MethodPost, "http://"+a.OTLPHTTP+"/v1/logs", strings.NewReader(`{"resourceLogs":[]}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, status, resp.StatusCode, "token %q", token)
	}

	var scrapes atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes.Add(1)
		fmt.Fprintln(w, "orders 1")
	}))
	defer target.Close()
	client := agenttest.UnixClient(a.Socket())
	defer client.CloseIdleConnections()
	for id, body := range map[string]string{
		"silent": `{}`,
		"shop":   fmt.Sprintf(`{"endpoint":%q,"labels":{"scrape":"prometheus"}}`, target.Listener.Addr()),
	} {
		req, err := http.NewRequest(http.MethodPut, "http://agent/v1/agents/"+id, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusCreated, resp.StatusCode)
	}
	require.Eventually(t, func() bool { return scrapes.Load() > 0 }, time.Minute, 50*time.Millisecond, "a scrape")
	a.Stop()
}
