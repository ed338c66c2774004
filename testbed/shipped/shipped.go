// Package shipped runs the configurations that the agent ships, with what a test must change of them.
package shipped

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// overlay takes OTLP_ENDPOINT, PPROF_ENDPOINT and OTEL_EXPORTER_OTLP_ENDPOINT from the environment.
//
//go:embed overlay.yaml
var overlay string

// Args are the arguments for config/agent.yaml exporting by OTLP/gRPC, with further shipped overlays by name and then
// YAML of the caller's own. Everything goes to one exporter, nothing to the console, and pprof is on.
func Args(t testing.TB, overlays []string, own ...string) []string {
	t.Helper()
	files := []string{"agent.yaml", "export-grpc.yaml"}
	files = append(files, overlays...)
	var args []string
	var extensions []string
	for _, name := range files {
		path := filepath.Join(agenttest.Root(), "config", name)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var parsed struct {
			Service struct {
				Extensions []string `yaml:"extensions"`
			} `yaml:"service"`
		}
		require.NoError(t, yaml.Unmarshal(text, &parsed), path)
		if parsed.Service.Extensions != nil {
			extensions = parsed.Service.Extensions // a later list replaces the former
		}
		if name != "agent.yaml" { // which agenttest runs itself
			args = append(args, "--config", path)
		}
	}
	list := fmt.Sprintf("service: {extensions: [%s]}\n", strings.Join(append(extensions, "pprof"), ", "))
	for _, text := range append([]string{overlay, list}, own...) {
		path := filepath.Join(t.TempDir(), "overlay.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		args = append(args, "--config", path)
	}
	return args
}
