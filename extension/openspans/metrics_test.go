package openspans

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/foundation-agent/foundation-agent/extension/openspans/internal/metadatatest"
)

// The metrics are the table's own counts.
func TestMetrics(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := extension.Settings{ID: nopSettings().ID, TelemetrySettings: tel.NewTelemetrySettings()}
	o, err := newOpenSpans(set, createDefaultConfig().(*Config))
	require.NoError(t, err)
	require.NoError(t, o.Start(t.Context(), componenttest.NewNopHost()))
	f := &fixture{openSpans: o, t: t, sink: attach(t, o)}
	f.mustStart(agentA, "one")
	f.mustStart(agentA, "two")
	f.mustEnd(agentA)
	f.left(1)
	at := metricdatatest.IgnoreTimestamp()
	point := func(n int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: n}} }
	metadatatest.AssertEqualOpenSpansOpen(t, tel, point(1), at)
	metadatatest.AssertEqualOpenSpansStarts(t, tel, point(2), at)
	metadatatest.AssertEqualOpenSpansStackDepth(t, tel, point(2), at)
	var ends []metricdata.DataPoint[int64]
	for r, name := range reasonNames {
		n := int64(0)
		if reason(r) == normal {
			n = 1
		}
		ends = append(ends, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("reason", name))})
	}
	metadatatest.AssertEqualOpenSpansEnds(t, tel, ends, at)
	f.stop()
}
