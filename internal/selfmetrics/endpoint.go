// Package selfmetrics finds the agent's own Prometheus endpoint, so that what the agent tells of itself are the
// numbers that a user scrapes.
package selfmetrics

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// defaultEndpoint is where the collector exposes its metrics when the configuration says nothing
// (service/telemetry/otelconftelemetry).
const defaultEndpoint = "http://localhost:8888/metrics"

// Errors of Endpoint.
var (
	ErrOff      = errors.New("service::telemetry::metrics::level is none: the agent exposes no metrics of its own")
	ErrNoReader = errors.New("service::telemetry::metrics::readers has no pull exporter of type prometheus: the agent cannot read its own metrics")
)

// Endpoint returns the URL of the first Prometheus reader in the service::telemetry::metrics of a
// resolved configuration.
func Endpoint(config map[string]any) (url string, err error) {
	metrics, _ := dig(config, "service", "telemetry", "metrics").(map[string]any)
	if level, _ := metrics["level"].(string); strings.EqualFold(level, "none") {
		return "", ErrOff
	}
	readers, set := metrics["readers"].([]any)
	if !set {
		return defaultEndpoint, nil
	}
	for _, r := range readers {
		exporter, _ := dig(r, "pull", "exporter").(map[string]any)
		for _, kind := range []string{"prometheus", "prometheus/development"} {
			if p, ok := exporter[kind].(map[string]any); ok {
				return urlOf(p), nil
			}
		}
	}
	return "", ErrNoReader
}

func urlOf(p map[string]any) string {
	host := fmt.Sprint(p["host"])
	if ip := net.ParseIP(host); p["host"] == nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(p["port"])) + "/metrics"
}

// dig follows keys into nested maps.
func dig(v any, keys ...string) any {
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}
