package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// nodeBinary names the built node distribution, which has receiver_creator and the prometheus receiver.
const nodeBinary = "FOUNDATION_AGENT_NODE_BINARY"

// receiver_creator of the node distribution starts a real scrape for an agent that registers, and stops it
// when the agent goes.
func TestNodeScrapesRegisteredAgents(t *testing.T) {
	binary := os.Getenv(nodeBinary)
	if binary == "" {
		t.Skip(nodeBinary + " is not set: make node, then make test-node")
	}
	config, err := os.ReadFile(filepath.Join("testdata", "node.yaml"))
	require.NoError(t, err)
	agent := agenttest.Start(t, agenttest.Options{Binary: binary, Config: string(config)})
	exported := func() string {
		b, err := os.ReadFile(filepath.Join(agent.StateDir, "metrics.json"))
		require.NoError(t, err)
		return string(b)
	}
	starts := func() {
		t.Helper()
		from := len(exported())
		require.Eventually(t, func() bool {
			since := exported()[from:]
			return strings.Contains(since, scrapedMetric) && strings.Contains(since, `"scraped"`)
		}, 30*time.Second, 50*time.Millisecond, "the agent's metric is exported, with its id")
	}
	stops := func() {
		t.Helper()
		size, since := len(exported()), time.Now()
		require.Eventually(t, func() bool {
			if now := len(exported()); now != size {
				size, since = now, time.Now()
			}
			return time.Since(since) > time.Second // five scrapes
		}, 30*time.Second, 50*time.Millisecond, "nothing is scraped any more")
	}
	c := launchChild(t, childSpec{Socket: agent.Socket(), ID: "scraped", Metrics: true,
		Body: map[string]any{"labels": map[string]string{"scrape": "true"}}})
	require.NoError(t, c.out.Decode(&c.registered))
	require.Equal(t, http.StatusCreated, c.registered.Status, string(c.registered.Body))
	starts()
	require.Equal(t, http.StatusOK, c.call(t, "PATCH", "/v1/agents/scraped", `{"labels":{"scrape":"false"}}`).Status)
	stops()
	require.Equal(t, http.StatusOK, c.call(t, "PATCH", "/v1/agents/scraped", `{"labels":{"scrape":"true"}}`).Status)
	starts()
	require.NoError(t, c.cmd.Process.Kill())
	stops()
	assert.NotContains(t, agent.Output(), "panic")
}
