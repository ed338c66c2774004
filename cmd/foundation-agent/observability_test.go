package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// Every metric that an alert rule or a panel names is exposed by the running agent.
func TestMetricsOfRulesAndDashboardsExist(t *testing.T) {
	deploy := filepath.Join(agenttest.Root(), "deploy")
	files, err := filepath.Glob(filepath.Join(deploy, "dashboards", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, json.Valid(raw), file)
	}
	named := map[string]string{} // metric -> file
	for _, file := range append(files, filepath.Join(deploy, "alerts", "foundation-agent.rules.yaml")) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`otelcol_[a-z0-9_]+`).FindAllString(string(raw), -1) {
			named[strings.TrimSuffix(name, "_bucket")] = filepath.Base(file)
		}
	}

	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, agenttest.Options{
		Shipped: []string{"agent.yaml", "stages.yaml"},
		Args:    exportTo(t, backend, time.Second),
	})
	emitEqual(t, a, 10)
	client := agenttest.UnixClient(a.Socket())
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://agent/v1/agents/nobody")
	require.NoError(t, err)
	resp.Body.Close()
	flip := exec.Command(agenttest.Binary(t), "flags", "enable", "enable_migration_monitoring", "--reason", "test", "--socket", a.ControlSocket())
	out, err := flip.CombinedOutput()
	require.NoError(t, err, string(out))

	require.EventuallyWithT(t, func(c *assert.CollectT) {
		resp, err := http.Get(a.MetricsURL())
		require.NoError(c, err)
		defer resp.Body.Close()
		exposed, err := io.ReadAll(resp.Body)
		require.NoError(c, err)
		for name, file := range named {
			assert.True(c, strings.Contains(string(exposed), "# TYPE "+name+" "), "%s of %s is not exposed", name, file)
		}
	}, time.Minute, 200*time.Millisecond)
}

// Each alert fires on the series that it is for, and none on quiet ones.
func TestAlertRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: make test-tools installs it")
	}
	for _, args := range [][]string{{"check", "rules", "foundation-agent.rules.yaml"}, {"test", "rules", "foundation-agent_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(agenttest.Root(), "deploy", "alerts")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
}
