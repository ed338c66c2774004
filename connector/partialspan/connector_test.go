package partialspan

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/connector/partialspan/internal/metadata"
)

// both starts the two instances that the collector makes of one configured connector.
func both(t testing.TB) (toTraces, toLogs connector.Logs, spans *consumertest.TracesSink, logs *consumertest.LogsSink) {
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig()
	set := connectortest.NewNopSettings(metadata.Type)
	spans, logs = &consumertest.TracesSink{}, &consumertest.LogsSink{}
	toTraces, err := factory.CreateLogsToTraces(t.Context(), set, cfg, spans)
	require.NoError(t, err)
	toLogs, err = factory.CreateLogsToLogs(t.Context(), set, cfg, logs)
	require.NoError(t, err)
	for _, c := range []component.Component{toTraces, toLogs} {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	}
	return toTraces, toLogs, spans, logs
}

// oneSpan is a body's traces.
func oneSpan(change func(ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "own")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("s")
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetStartTimestamp(5)
	s.Attributes().PutStr("k", "own")
	if change != nil {
		change(s)
	}
	return td
}

func protoBody(td ptrace.Traces) string {
	raw, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	return base64.StdEncoding.EncodeToString(raw)
}

func jsonBody(td ptrace.Traces) string {
	raw, _ := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	return string(raw)
}

// record adds a log with the attributes, in pairs.
func record(ld plog.Logs, body string, pairs ...string) plog.LogRecord {
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "of the log")
	rl.Resource().Attributes().PutStr("host.name", "h")
	r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetTimestamp(100)
	r.Body().SetStr(body)
	for i := 0; i < len(pairs); i += 2 {
		r.Attributes().PutStr(pairs[i], pairs[i+1])
	}
	return r
}

func only(t *testing.T, sink *consumertest.TracesSink) (pcommon.Resource, ptrace.Span) {
	t.Helper()
	require.Equal(t, 1, sink.SpanCount())
	rs := sink.AllTraces()[0].ResourceSpans().At(0)
	return rs.Resource(), rs.ScopeSpans().At(0).Spans().At(0)
}

func TestHeartbeat(t *testing.T) {
	for kind, body := range map[string]string{"proto": protoBody(oneSpan(nil)), "json/v1": jsonBody(oneSpan(nil)), "": protoBody(oneSpan(nil))} {
		toTraces, toLogs, spans, logs := both(t)
		ld := plog.NewLogs()
		attributes := []string{"partial.event", "heartbeat", "partial.frequency", "10s", "k", "of the log", "more", "1"}
		if kind != "" {
			attributes = append(attributes, "partial.body.type", kind)
		}
		record(ld, body, attributes...)
		require.NoError(t, toTraces.ConsumeLogs(t.Context(), ld))
		require.NoError(t, toLogs.ConsumeLogs(t.Context(), ld))
		resource, s := only(t, spans)
		assert.Equal(t, map[string]any{"service.name": "own", "host.name": "h"}, resource.Attributes().AsRaw())
		assert.Equal(t, map[string]any{"k": "own", "more": "1", "foundation.span.heartbeat_ns": int64(30 * time.Second)}, s.Attributes().AsRaw())
		assert.EqualValues(t, 5, s.StartTimestamp())
		assert.Zero(t, s.EndTimestamp())
		assert.Zero(t, logs.LogRecordCount())
	}
}

func TestStop(t *testing.T) {
	toTraces, _, spans, _ := both(t)
	ld := plog.NewLogs()
	record(ld, protoBody(oneSpan(nil)), "partial.event", "stop")
	require.NoError(t, toTraces.ConsumeLogs(t.Context(), ld))
	_, s := only(t, spans)
	assert.EqualValues(t, 100, s.EndTimestamp(), "the log's time, where the span does not say")
}

// What is no partial span, or a broken one, passes on as a log; nothing is in both outputs or in none.
func TestTheRestPassesOn(t *testing.T) {
	toTraces, toLogs, spans, logs := both(t)
	good := protoBody(oneSpan(nil))
	ld := plog.NewLogs()
	record(ld, "a log")
	record(ld, good, "partial.event", "heartbeat")
	record(ld, good, "partial.event", "pause")
	record(ld, good, "partial.event", "stop", "partial.body.type", "xml")
	record(ld, "not base64!", "partial.event", "stop")
	record(ld, base64.StdEncoding.EncodeToString([]byte("not proto")), "partial.event", "stop")
	record(ld, "{", "partial.event", "stop", "partial.body.type", "json/v1")
	record(ld, "", "partial.event", "heartbeat")
	record(ld, good, "partial.event", "heartbeat", "partial.frequency", "often")
	record(ld, good, "partial.event", "heartbeat", "partial.frequency", "-1s")
	n := ld.LogRecordCount()
	require.NoError(t, toTraces.ConsumeLogs(t.Context(), ld))
	require.NoError(t, toLogs.ConsumeLogs(t.Context(), ld))
	assert.Equal(t, 1, spans.SpanCount())
	assert.Equal(t, n-1, logs.LogRecordCount())
}

func TestBothOutputsAreNeeded(t *testing.T) {
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig()
	set := connectortest.NewNopSettings(metadata.Type)
	alone, err := factory.CreateLogsToTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, alone.Start(t.Context(), componenttest.NewNopHost()), "needs both outputs")
	require.NoError(t, alone.Shutdown(t.Context()))
	otherLogs, err := factory.CreateLogsToLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, otherLogs.Start(t.Context(), componenttest.NewNopHost()), "needs both outputs")
	require.NoError(t, otherLogs.Shutdown(t.Context()))
}

func TestErrorsReachTheSender(t *testing.T) {
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig()
	refuses := consumertest.NewErr(assert.AnError)
	c, err := factory.CreateLogsToTraces(t.Context(), connectortest.NewNopSettings(metadata.Type), cfg, refuses)
	require.NoError(t, err)
	ld := plog.NewLogs()
	record(ld, protoBody(oneSpan(nil)), "partial.event", "stop")
	require.ErrorIs(t, c.(consumer.Logs).ConsumeLogs(t.Context(), ld), assert.AnError)
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestEveryOption(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := conf.Sub("partial_span")
	require.NoError(t, err)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{ExpiryFactor: 2.5}, cfg)
	cfg.ExpiryFactor = 0.5
	assert.ErrorContains(t, cfg.Validate(), "expiry_factor: 0.5; must be from 1 to 1000")
}

// FuzzRead holds that no body and no attribute panics, and that what is taken is a half or a stopped span.
func FuzzRead(f *testing.F) {
	f.Add("heartbeat", "10s", "proto", protoBody(oneSpan(nil)))
	f.Add("stop", "", "json/v1", jsonBody(oneSpan(nil)))
	f.Add("stop", "1h", "xml", "<span/>")
	f.Fuzz(func(t *testing.T, name, frequency, kind, body string) {
		ld := plog.NewLogs()
		r := record(ld, body, "partial.event", name, "partial.frequency", frequency, "partial.body.type", kind)
		p, ok, err := read(r, defaultExpiryFactor)
		require.True(t, ok)
		if err != nil {
			return
		}
		p.fill(ld.ResourceLogs().At(0).Resource(), r)
		forEachSpan(p.spans, func(s ptrace.Span) {
			require.NotZero(t, s.StartTimestamp()+s.EndTimestamp())
			if p.event == heartbeat {
				require.Zero(t, s.EndTimestamp())
			}
		})
	})
}
