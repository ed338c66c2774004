package load

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/foundation-agent/foundation-agent/testbed/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogsAreWhatTheirShapeSays(t *testing.T) {
	source, err := Logs("logs", LogShape{Event: "e", Batch: 10, Key: Cycle(7), Extra: 2, ExtraBytes: 100, Agent: "a", Spans: 3})
	require.NoError(t, err)
	turn := source.newTurn()
	times := map[pcommon.Timestamp]bool{}
	for n := range 5 {
		turn.next()
		req := plogotlp.NewExportRequest()
		require.NoError(t, req.UnmarshalProto(turn.bytes[0]))
		rl := req.Logs().ResourceLogs().At(0)
		agent, _ := rl.Resource().Attributes().Get("agent.id")
		require.Equal(t, "a", agent.Str())
		records := rl.ScopeLogs().At(0).LogRecords()
		require.Equal(t, 10, records.Len())
		for i, lr := range records.All() {
			number := uint64(n*10 + i)
			key, _ := lr.Attributes().Get("order.id")
			require.Equal(t, Key(number%7), key.Str())
			require.Equal(t, "e", lr.EventName())
			require.Equal(t, 7, lr.Attributes().Len())
			require.WithinDuration(t, time.Now(), lr.Timestamp().AsTime(), time.Minute)
			require.Equal(t, lr.Timestamp(), lr.ObservedTimestamp())
			require.False(t, times[lr.Timestamp()], "times differ")
			times[lr.Timestamp()] = true
			require.Equal(t, spanID(number%3), lr.SpanID())
			require.Equal(t, traceOf(t, 0), lr.TraceID())
		}
	}
	require.Equal(t, 50, source.Made())
}

func TestPairsAreStartsAndEndsOfTheSameSpans(t *testing.T) {
	source, err := Pairs("pairs", SpanShape{Batch: 10, Offset: 1000})
	require.NoError(t, err)
	turn := source.newTurn()
	turn.next()
	starts, ends := decodeSpans(t, turn.bytes[0]), decodeSpans(t, turn.bytes[1])
	for i := range 10 {
		start, end := starts.At(i), ends.At(i)
		require.NotZero(t, start.StartTimestamp())
		require.Zero(t, start.EndTimestamp())
		require.Zero(t, end.StartTimestamp())
		require.NotZero(t, end.EndTimestamp())
		require.Equal(t, start.SpanID(), end.SpanID())
		require.Equal(t, start.TraceID(), end.TraceID())
		require.Equal(t, spanID(1000+uint64(i)), start.SpanID())
		if i%spansPerTrace == 0 {
			require.True(t, start.ParentSpanID().IsEmpty())
		} else {
			require.Equal(t, starts.At(i-i%spansPerTrace).SpanID(), start.ParentSpanID(), "the first of the trace")
			require.Equal(t, starts.At(i-1).TraceID(), start.TraceID())
		}
	}
	require.NotEqual(t, starts.At(4).TraceID(), starts.At(5).TraceID())
	require.NoError(t, err)
}

func decodeSpans(t *testing.T, request []byte) ptrace.SpanSlice {
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(request))
	return req.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans()
}

func spanID(n uint64) (id pcommon.SpanID) {
	for i, v := 7, SpanID(n); i >= 0; i-- {
		id[i] = byte(v)
		v >>= 8
	}
	return id
}

// traceOf is the trace id of the nth span of a source.
func traceOf(t *testing.T, n uint64) pcommon.TraceID {
	source, err := Spans("spans", SpanShape{Batch: spansPerTrace, Offset: n / spansPerTrace * spansPerTrace})
	require.NoError(t, err)
	turn := source.newTurn()
	turn.next()
	return decodeSpans(t, turn.bytes[0]).At(0).TraceID()
}

func TestZipfIsTheSameEachTime(t *testing.T) {
	a, b := Zipf(1.1, 1000), Zipf(1.1, 1000)
	zeros := 0
	for i := range uint64(10_000) {
		require.Equal(t, a(i), b(i))
		require.Less(t, a(i), uint64(1000))
		if a(i) == 0 {
			zeros++
		}
	}
	require.Greater(t, zeros, 1000, "the loudest key is a large part")
}

func TestRunAccountsForEveryRecord(t *testing.T) {
	b, err := backend.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Stop()) }()
	fresh := func() *Source {
		s, err := Logs("logs", LogShape{Event: "e", Batch: 10, Key: Unique})
		require.NoError(t, err)
		return s
	}

	var told atomic.Int64
	r, err := Run(t.Context(), fresh(), Options{Endpoint: b.Endpoint, Records: 1000, Accepted: func(n int) { told.Add(int64(n)) }})
	require.NoError(t, err)
	require.Equal(t, 1000, r.Accepted)
	require.EqualValues(t, 1000, told.Load())
	require.Equal(t, 1000, b.Logs().Event("e").Firsts)
	require.Positive(t, r.Latency.P99)

	b.Be(backend.Refuses)
	r, err = Run(t.Context(), fresh(), Options{Endpoint: b.Endpoint, Records: 100})
	require.NoError(t, err)
	require.Equal(t, 100, r.Refused)
	require.Zero(t, r.Accepted+r.Unknown)
	require.Contains(t, r.LastError, "told to refuse")

	time.AfterFunc(100*time.Millisecond, func() { b.Be(backend.Accepts) })
	r, err = Run(t.Context(), fresh(), Options{Endpoint: b.Endpoint, Records: 100, Retry: true})
	require.NoError(t, err)
	require.Equal(t, 100, r.Accepted)
	require.Positive(t, r.Retries)

	halt := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(halt) })
	r, err = Run(t.Context(), fresh(), Options{Endpoint: b.Endpoint, Rate: 1000, Halt: halt})
	require.NoError(t, err)
	require.Zero(t, r.Unknown)
	require.Less(t, r.Accepted, 1000)
}

func TestAnswersAreToldFromBrokenConnections(t *testing.T) {
	for message, want := range map[string]bool{
		"told to refuse": true, "error reading from server: EOF": false, "read tcp: connection reset by peer": false,
	} {
		require.Equal(t, want, answered(status.Error(codes.Unavailable, message)), message)
	}
	require.True(t, answered(status.Error(codes.InvalidArgument, "EOF")))
	require.False(t, answered(status.Error(codes.Canceled, "")))
}
