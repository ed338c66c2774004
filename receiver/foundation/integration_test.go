package foundation

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/nopexporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

// A real collector with this receiver and contrib's file exporter: what a client sends over the socket is
// in the file when the collector has stopped.
func TestInACollector(t *testing.T) {
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "app.sock"), filepath.Join(dir, "out.json")
	config := fmt.Sprintf(`yaml:
receivers: {foundation: {unix: {endpoint: %s}}}
exporters: {file: {path: %s}, nop: }
service:
  telemetry: {logs: {level: error}, metrics: {level: none}}
  pipelines:
    logs: {receivers: [foundation], exporters: [file]}
    traces: {receivers: [foundation], exporters: [nop]}
`, socket, file)
	collector, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.NewDefaultBuildInfo(),
		Factories: func() (otelcol.Factories, error) {
			f := NewFactory()
			e, nop := fileexporter.NewFactory(), nopexporter.NewFactory()
			return otelcol.Factories{
				Receivers: map[component.Type]receiver.Factory{f.Type(): f},
				Exporters: map[component.Type]exporter.Factory{e.Type(): e, nop.Type(): nop},
				Telemetry: otelconftelemetry.NewFactory(),
			}, nil
		},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs: []string{config}, ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
	})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- collector.Run(context.Background()) }()

	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	c := &client{t: t, http: &http.Client{Transport: transport}, url: "http://localhost"}
	require.Eventually(t, func() bool {
		_, err := os.Stat(socket)
		return err == nil && collector.GetState() == otelcol.StateRunning
	}, 10*time.Second, 10*time.Millisecond)
	got := c.lines(`{"name":"test.event","measurements":{"count":1},"metadata":{"user":"ana"},"agent_id":"a"}`, `{"name":["test","other"]}`)
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, 2, got.Accepted)
	collector.Shutdown()
	require.NoError(t, <-ended)
	assert.NoFileExists(t, socket)

	written, err := os.ReadFile(file)
	require.NoError(t, err)
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(strings.TrimSpace(string(written))))
	require.NoError(t, err)
	record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, "test.event", record.EventName())
	assert.Equal(t, map[string]any{"measurement.count": int64(1), "user": "ana"}, record.Attributes().AsRaw())
	assert.Equal(t, 2, logs.LogRecordCount())
}
