package registry

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/foundation-agent/foundation-agent/extension/registry/internal/metadata"
	"github.com/foundation-agent/foundation-agent/extension/registry/internal/metadatatest"
)

func TestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := extension.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: telemetry.NewTelemetrySettings()}
	ext, err := newExtension(set, createDefaultConfig().(*Config))
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), extensions{}))
	x := &running{agentRegistry: ext}
	closeDoors := x.openDoors(t)
	var done registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/a", `{}`, "", &done))
	require.Equal(t, http.StatusForbidden, x.doTCP(t, "PUT", "/v1/agents/b", `{"pid":1}`, "", nil))
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/a", "", nil))
	require.Equal(t, http.StatusNotFound, x.do(t, "GET", "/v1/agents/b", "", nil))
	require.Equal(t, http.StatusAccepted, x.doTCP(t, "POST", "/v1/agents/a/down", `{"process":"p"}`, done.Token, nil))

	point := func(v int64, kv ...string) metricdata.DataPoint[int64] {
		var set []attribute.KeyValue
		for i := 0; i < len(kv); i += 2 {
			set = append(set, attribute.String(kv[i], kv[i+1]))
		}
		return metricdata.DataPoint[int64]{Value: v, Attributes: attribute.NewSet(set...)}
	}
	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualAgentRegistryOperations(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, "operation", "register", "outcome", "ok"), point(1, "operation", "register", "outcome", "refused"),
		point(1, "operation", "get", "outcome", "ok"), point(1, "operation", "get", "outcome", "not_found"),
		point(1, "operation", "process_down", "outcome", "ok"),
	}, ignore)
	metadatatest.AssertEqualAgentRegistryEntries(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, "state", "up"), point(0, "state", "unresponsive"),
	}, ignore)
	metadatatest.AssertEqualAgentRegistryDeaths(t, telemetry, []metricdata.DataPoint[int64]{
		point(0, "reason", "process_exit"), point(1, "reason", "process_down"), point(0, "reason", "lease_lost"),
		point(0, "reason", "connection_closed"), point(0, "reason", "unregistered"), point(0, "reason", "replaced"),
	}, ignore)
	metadatatest.AssertEqualAgentRegistryWatchers(t, telemetry, []metricdata.DataPoint[int64]{
		point(0, "watcher", "stream"), point(1, "watcher", "in_process"), // it puts events into the pipeline
	}, ignore)
	metadatatest.AssertEqualAgentRegistryShadowWrites(t, telemetry, []metricdata.DataPoint[int64]{point(0)}, ignore)
	got, err := telemetry.GetMetric("otelcol_agent_registry_operation_duration")
	require.NoError(t, err)
	histogram := got.Data.(metricdata.Histogram[float64])
	assert.Len(t, histogram.DataPoints, 3, "one for each operation")
	assert.Contains(t, histogram.DataPoints[0].Bounds, 0.005)
	closeDoors()
	require.NoError(t, ext.Shutdown(context.Background()))
}
