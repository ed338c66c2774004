// This file finds the agent's own Prometheus endpoint: the numbers that a user scrapes are those that
// the guard judges.

package migration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"
)

// selfEndpoint is where the agent exposes its own metrics. It is known once the collector has told its
// configuration, which is after the extensions have started.
type selfEndpoint struct {
	url atomic.Pointer[string]
	err atomic.Pointer[error]
}

var errNotToldYet = errors.New("the agent is still starting: where its own metrics are is not known yet")

func (s *selfEndpoint) URL() (string, error) {
	if url := s.url.Load(); url != nil {
		return *url, nil
	}
	if err := s.err.Load(); err != nil {
		return "", *err
	}
	return "", errNotToldYet
}

var _ extensioncapabilities.ConfigSnapshotWatcher = (*migration)(nil)

// NotifyConfigSnapshot implements extensioncapabilities.ConfigSnapshotWatcher.
func (m *migration) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	url, err := prometheusOf(snapshot.Effective().ToStringMap())
	if err != nil {
		m.self.err.Store(&err)
		return nil // a rollout whose signals come from elsewhere needs no endpoint here
	}
	m.self.url.Store(&url)
	return nil
}

// defaultTelemetry is where the collector exposes its metrics when the configuration says nothing
// (service/telemetry/otelconftelemetry).
const defaultTelemetry = "http://localhost:8888/metrics"

// prometheusOf finds the first Prometheus reader in service::telemetry::metrics.
func prometheusOf(config map[string]any) (string, error) {
	metrics, _ := dig(config, "service", "telemetry", "metrics").(map[string]any)
	if level, _ := metrics["level"].(string); strings.EqualFold(level, "none") {
		return "", errors.New("service::telemetry::metrics::level is none: the agent exposes no metrics of its own")
	}
	readers, set := metrics["readers"].([]any)
	if !set {
		return defaultTelemetry, nil
	}
	for _, r := range readers {
		exporter, _ := dig(r, "pull", "exporter").(map[string]any)
		for _, kind := range []string{"prometheus", "prometheus/development"} {
			if p, ok := exporter[kind].(map[string]any); ok {
				return urlOf(p), nil
			}
		}
	}
	return "", errors.New("service::telemetry::metrics::readers has no pull exporter of type prometheus: the agent cannot read its own metrics")
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

// httpGet fetches a URL for its status alone.
func httpGet(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return errors.Join(fmt.Errorf("it answered %s", resp.Status), resp.Body.Close())
	}
	return resp.Body.Close()
}
