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

func TestLocation(t *testing.T) {
	var l Location
	_, err := l.URL()
	require.ErrorIs(t, err, ErrNotToldYet)
	require.NoError(t, l.Tell(map[string]any{}))
	url, err := l.URL()
	require.NoError(t, err)
	require.Equal(t, defaultEndpoint, url)
	off := map[string]any{"service": map[string]any{"telemetry": map[string]any{"metrics": map[string]any{"level": "none"}}}}
	require.ErrorIs(t, l.Tell(off), ErrOff)
	_, err = l.URL()
	require.ErrorIs(t, err, ErrOff)
}
