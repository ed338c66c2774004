package span

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/processor/span/internal/metadatatest"
)

// requirePassed looks at both counters of one signal.
func requirePassed(t *testing.T, tel *componenttest.Telemetry, signal string, records, errors int64) {
	t.Helper()
	of := func(n int64) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Value: n, Attributes: attribute.NewSet(attribute.String("signal", signal))}}
	}
	metadatatest.AssertEqualSpanLifecycleRecords(t, tel, of(records), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualSpanLifecycleErrors(t, tel, of(errors), metricdatatest.IgnoreTimestamp())
}

func TestErrorsAmongLogs(t *testing.T) {
	tel := componenttest.NewTelemetry()
	var to consumer.Logs = consumertest.NewErr(errors.New("not now"))
	start := func() consumer.Logs {
		l, err := NewFactory().CreateLogs(t.Context(), metadatatest.NewSettings(tel), createDefaultConfig(), to)
		require.NoError(t, err)
		require.NoError(t, l.Start(t.Context(), withTable(t)))
		return l
	}
	logs := func() plog.Logs {
		ld := plog.NewLogs()
		records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for severity, event := range map[plog.SeverityNumber]string{
			plog.SeverityNumberInfo: "", plog.SeverityNumberWarn: "request.slow", plog.SeverityNumberError: "",
			plog.SeverityNumberFatal: "request.failed", plog.SeverityNumberError2: "foundation.agent.down",
		} {
			r := records.AppendEmpty()
			r.SetSeverityNumber(severity)
			r.SetEventName(event)
		}
		return ld
	}
	require.Error(t, start().ConsumeLogs(t.Context(), logs()))
	requirePassed(t, tel, "logs", 0, 0)
	to = consumertest.NewNop()
	require.NoError(t, start().ConsumeLogs(t.Context(), logs()))
	requirePassed(t, tel, "logs", 4, 2)
	require.NoError(t, start().ConsumeLogs(t.Context(), logs()), "by another pipeline")
	requirePassed(t, tel, "logs", 8, 4)
}

func TestPatterns(t *testing.T) {
	tel := componenttest.NewTelemetry()
	cfg := createDefaultConfig().(*Config)
	cfg.Patterns = map[string]string{"other": "never", "refused": "connection refused"}
	l, err := NewFactory().CreateLogs(t.Context(), metadatatest.NewSettings(tel), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, l.Start(t.Context(), withTable(t)))
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	write := func(severity plog.SeverityNumber, event, body string) plog.LogRecord {
		r := records.AppendEmpty()
		r.SetSeverityNumber(severity)
		r.SetEventName(event)
		r.Body().SetStr(body)
		return r
	}
	const words = "dial tcp: connection refused"
	write(plog.SeverityNumberError, "", words)
	write(plog.SeverityNumberUnspecified, "", words)
	write(plog.SeverityNumberFatal, "request.failed", "").Attributes().PutStr("exception.message", words)
	write(plog.SeverityNumberInfo, "", words)                            // told of, not suffered
	write(plog.SeverityNumberError, "foundation.migration.alert", words) // the agent's own
	write(plog.SeverityNumberError, "", "another error").Attributes().PutStr("note", words)
	require.NoError(t, l.ConsumeLogs(t.Context(), ld))
	metadatatest.AssertEqualSpanLifecycleMatches(t, tel, []metricdata.DataPoint[int64]{
		{Value: 0, Attributes: attribute.NewSet(attribute.String("pattern", "other"))},
		{Value: 3, Attributes: attribute.NewSet(attribute.String("pattern", "refused"))},
	}, metricdatatest.IgnoreTimestamp())
}

func TestErrorsAmongSpans(t *testing.T) {
	tel := componenttest.NewTelemetry()
	to := &next{}
	p, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(tel), createDefaultConfig(), to)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), withTable(t)))
	td := batch([2]int64{1, 2}, [2]int64{1, 2}, [2]int64{1, 2}, [2]int64{1, 0})
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.At(1).Status().SetCode(ptrace.StatusCodeError)
	spans.At(2).Status().SetCode(ptrace.StatusCodeError)
	spans.At(2).Attributes().PutStr(attr.EndReason, "agent_down") // by the agent of a tier before this one
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	requirePassed(t, tel, "traces", 2, 1)

	end := batch([2]int64{1, 2}, [2]int64{1, 2}, [2]int64{1, 2}, [2]int64{0, 2})
	end.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(s ptrace.Span) bool { return !isHalf(s) })
	end.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Status().SetCode(ptrace.StatusCodeError)
	require.NoError(t, p.ConsumeTraces(t.Context(), end))
	require.NoError(t, p.Shutdown(t.Context())) // delivers what has ended
	require.Len(t, to.spans(), 4)
	requirePassed(t, tel, "traces", 3, 2)
}
