package selfmetrics

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestEndpoint(t *testing.T) {
	for yml, want := range map[string]string{
		"{}": "http://localhost:8888/metrics",
		"service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 9}}}}]}}}":                           "http://localhost:9/metrics",
		"service: {telemetry: {metrics: {readers: [{periodic: {}}, {pull: {exporter: {prometheus/development: {host: '::1', port: 9}}}}]}}}": "http://[::1]:9/metrics",
	} {
		var config map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(yml), &config))
		url, err := Endpoint(config)
		require.NoError(t, err, yml)
		require.Equal(t, want, url)
	}
	for yml, want := range map[string]error{
		"service: {telemetry: {metrics: {level: none}}}":               ErrOff,
		"service: {telemetry: {metrics: {readers: [{periodic: {}}]}}}": ErrNoReader,
	} {
		var config map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(yml), &config))
		_, err := Endpoint(config)
		require.ErrorIs(t, err, want)
	}
}
