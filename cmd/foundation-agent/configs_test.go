package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
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
		{"agent.yaml", "floods.yaml"},
		{"sidecar.yaml"},
		{"sidecar.yaml", "floods.yaml"},
		{"sidecar.yaml", "stages.yaml"},
		{"gateway.yaml"},
		{"gateway.yaml", "stages.yaml"},
		{"sidecar.yaml", "stage-0.yaml"},
		{"sidecar.yaml", "stage-1.yaml"},
		{"sidecar.yaml", "stage-2.yaml"},
		{"sidecar.yaml", "stage-3.yaml"},
		{"sidecar.yaml", "stage-4.yaml"},
		{"sidecar.yaml", "stage-5.yaml"},
	}
	for _, set := range sets {
		t.Run(strings.Join(set, "+"), func(t *testing.T) { startAndStop(t, agenttest.Options{Shipped: set}) })
	}
}

// The same for those that need the node distribution.
func TestNodeConfigurations(t *testing.T) {
	for _, set := range [][]string{
		{"daemonset.yaml"},
		{"daemonset.yaml", "host.yaml"},
		{"daemonset.yaml", "stages.yaml", "daemonset-stages.yaml"},
		{"gateway.yaml"},
		{"sidecar.yaml", "to-gateways.yaml"},
		{"sidecar.yaml", "to-gateways.yaml", "stages.yaml"},
		{"daemonset.yaml", "to-gateways.yaml", "daemonset-to-gateways.yaml"},
		{"sidecar.yaml", "to-kafka.yaml"},
		{"daemonset.yaml", "to-kafka.yaml"},
		{"to-gateways.yaml", "from-kafka.yaml"},
	} {
		t.Run(strings.Join(set, "+"), func(t *testing.T) {
			o := agenttest.Options{Binary: nodeBinary(t), Shipped: set, Env: []string{"FOUNDATION_GATEWAYS=localhost", "FOUNDATION_KAFKA=127.0.0.1:1"}}
			if set[0] == "daemonset.yaml" {
				withoutCluster(t, &o)
			}
			startAndStop(t, o)
		})
	}
}

func startAndStop(t *testing.T, o agenttest.Options) {
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // takes everything
	defer sink.Close()
	o.Env = append(o.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+sink.URL)
	a := agenttest.Start(t, o)
	a.Stop()
	for _, line := range strings.Split(a.Output(), "\n") {
		if strings.Contains(line, "\terror\t") || strings.Contains(line, "\tERROR\t") {
			require.Contains(t, line, "kafka", "only a broker that is not there is worth an error")
		}
	}
}

// nodeBinary is the node distribution, which `make node` builds and `make test-node` names.
func nodeBinary(t *testing.T) string {
	path := os.Getenv("FOUNDATION_AGENT_NODE_BINARY")
	if path == "" {
		t.Skip("FOUNDATION_AGENT_NODE_BINARY is not set: make test-node builds the node distribution and runs this")
	}
	return path
}

// withoutCluster lets daemonset.yaml start where there is no cluster: k8s_attributes finds nobody at its address.
func withoutCluster(t *testing.T, o *agenttest.Options) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("let-me-in\n"), 0o600))
	o.Env = append(o.Env, "FOUNDATION_TOKEN_FILE="+token, "K8S_NODE_NAME=here",
		"KUBERNETES_SERVICE_HOST=127.0.0.1", fmt.Sprintf("KUBERNETES_SERVICE_PORT=%d", agenttest.FreePort(t)))
	o.Args = append(o.Args, "--config", "yaml:processors::k8s_attributes::auth_type: none")
}
