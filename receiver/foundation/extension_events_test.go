package foundation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadatatest"
)

type source struct {
	component.Component
	buffer *extevent.Buffer
}

func (s source) Events() *extevent.Buffer { return s.buffer }

// withSource is a configuration that takes events from one extension, and the extension's buffer.
func withSource(t *testing.T) (*Config, *extevent.Buffer, map[component.ID]component.Component) {
	id := component.MustNewID("feature_flags")
	cfg := onUnix(t)
	cfg.EventsFrom = []component.ID{id}
	buffer := extevent.NewBuffer(100)
	return cfg, buffer, map[component.ID]component.Component{id: source{buffer: buffer}}
}

func TestEventsOfExtensionsEnterThePipeline(t *testing.T) {
	var p pipeline
	cfg, buffer, extensions := withSource(t)
	// Told before the pipeline starts.
	buffer.Put(extevent.Event{Name: "foundation.flag.changed", Time: noon, Severity: plog.SeverityNumberError, Body: "flag x is on",
		Attributes: map[string]any{"flag": "x", "enabled": true}, Resource: map[string]any{"agent.id": "a"}})
	c := start(t, cfg, &p, extensions)
	buffer.Put(extevent.Event{Name: "foundation.agent.down", Time: noon})
	require.Eventually(t, func() bool { return len(p.records()) == 2 }, 5*time.Second, time.Millisecond)
	assert.Equal(t, []string{"foundation.flag.changed", "foundation.agent.down"}, p.names())
	r := p.records()[0]
	assert.Equal(t, noon, r.Timestamp().AsTime())
	assert.Equal(t, plog.SeverityNumberError, r.SeverityNumber())
	assert.Equal(t, "flag x is on", r.Body().Str())
	assert.Equal(t, map[string]any{"flag": "x", "enabled": true}, r.Attributes().AsRaw())
	assert.Equal(t, map[string]any{"agent.id": "a"}, p.taken[0].ResourceLogs().At(0).Resource().Attributes().AsRaw())

	sum := func(v int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: v}} }
	require.Eventually(t, func() bool {
		m, err := c.tel.GetMetric("otelcol_foundation_extension_events")
		return err == nil && m.Data.(metricdata.Sum[int64]).DataPoints[0].Value == 2
	}, 5*time.Second, time.Millisecond)
	metadatatest.AssertEqualFoundationExtensionEventsDropped(t, c.tel, sum(0), metricdatatest.IgnoreTimestamp())
}

func TestEventsOfExtensionsAreRetriedInOrder(t *testing.T) {
	var tries atomic.Int32
	p := pipeline{answer: func(context.Context, plog.Logs) error {
		if tries.Add(1) <= 3 {
			return errors.New("queue is full")
		}
		return nil
	}}
	cfg, buffer, extensions := withSource(t)
	start(t, cfg, &p, extensions)
	want := make([]string, 5)
	for i := range want {
		want[i] = fmt.Sprint("e", i)
		buffer.Put(extevent.Event{Name: want[i]})
	}
	require.Eventually(t, func() bool { return len(p.records()) == 5 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, want, p.names())
}

func TestEventsOfExtensionsThatAreLostAreCounted(t *testing.T) {
	p := pipeline{answer: func(_ context.Context, ld plog.Logs) error {
		if ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).EventName() == "bad" {
			return consumererror.NewPermanent(errors.New("never"))
		}
		return nil
	}}
	cfg, buffer, extensions := withSource(t)
	for i := range 103 { // three too many
		buffer.Put(extevent.Event{Name: fmt.Sprint("e", i)})
	}
	c := start(t, cfg, &p, extensions)
	require.Eventually(t, func() bool { return len(p.records()) == 100 }, 5*time.Second, time.Millisecond)
	buffer.Put(extevent.Event{Name: "bad"})
	buffer.Put(extevent.Event{Name: "what no attribute can be", Attributes: map[string]any{"ch": make(chan int)}})
	buffer.Put(extevent.Event{Name: "good"})
	require.Eventually(t, func() bool { return len(p.records()) == 101 }, 5*time.Second, time.Millisecond)
	metadatatest.AssertEqualFoundationExtensionEventsDropped(t, c.tel, []metricdata.DataPoint[int64]{{Value: 5}}, metricdatatest.IgnoreTimestamp())
}

func TestShutdownDeliversWhatExtensionsHaveTold(t *testing.T) {
	p := pipeline{}
	cfg, buffer, extensions := withSource(t)
	r, err := createLogs(t.Context(), nopSettings, cfg, &p)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), testHost{componenttest.NewNopHost(), extensions}))
	for i := range 50 {
		buffer.Put(extevent.Event{Name: fmt.Sprint("e", i)})
	}
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Len(t, p.records(), 50)
}

func TestShutdownDoesNotWaitForAPipelineThatRefuses(t *testing.T) {
	tried := make(chan struct{}, 10)
	p := pipeline{answer: func(context.Context, plog.Logs) error {
		tried <- struct{}{}
		return errors.New("queue is full")
	}}
	cfg, buffer, extensions := withSource(t)
	r, err := createLogs(t.Context(), nopSettings, cfg, &p)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), testHost{componenttest.NewNopHost(), extensions}))
	buffer.Put(extevent.Event{Name: "e"})
	<-tried
	require.NoError(t, r.Shutdown(t.Context()))
	assert.EqualValues(t, 1, r.(*sharedReceiver).telemetry.extensionEventsDropped.Load())
}
