package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// Every shipped configuration starts, and stops as it should.
func TestShippedConfigurations(t *testing.T) {
	sets := [][]string{
		{"agent.yaml"},
		{"agent.yaml", "stages.yaml"},
		{"sidecar.yaml"},
		{"sidecar.yaml", "stages.yaml"},
		{"gateway.yaml"},
	}
	overlays, err := filepath.Glob(filepath.Join(agenttest.Root(), "config", "stage-*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, overlays)
	for _, overlay := range overlays {
		sets = append(sets, []string{"sidecar.yaml", filepath.Base(overlay)})
	}
	for _, set := range sets {
		t.Run(strings.Join(set, "+"), func(t *testing.T) {
			a := agenttest.Start(t, agenttest.Options{
				Shipped: set,
				Env:     []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + agenttest.StartBackend(t).Endpoint},
			})
			a.Stop()
			require.NotContains(t, a.Output(), "\tERROR\t")
		})
	}
}
