package foundation

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// decode reads one event, as of noon.
func decode(t *testing.T, event string) (*eventDecoder, *rejection) {
	t.Helper()
	d := newEventDecoder()
	err := d.decode([]byte(event), noon)
	if err == nil {
		return d, nil
	}
	var rejected *rejection
	require.ErrorAs(t, err, &rejected)
	return d, rejected
}

func TestWholeEvent(t *testing.T) {
	d, rejected := decode(t, `{
		"name": ["test","event"], "measurements": {"count": 1, "ratio": 0.5, "big": 9007199254740993, "huge": 18446744073709551616},
		"metadata": {"user": "ana", "ok": true, "none": null, "id": 9007199254740993, "huge": 123456789012345678901234567890,
			"f": 1.5, "list": [1, "a", {"x": [2]}], "nested": {"deep": {"er": "\u00e9\n"}}},
		"timestamp": "2026-11-22T11:59:59.123456789+01:00", "severity": "warning", "body": "it happened",
		"agent_id": "a", "process": "<0.1.0>", "trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "0102030405060708",
		"once_per": "10s", "batch": {"key": "b", "size": 100, "timeout": "5s"}, "dedup_key": "k", "call": "event"}`)
	require.Nil(t, rejected)
	r := d.record
	assert.Equal(t, "test.event", r.EventName())
	assert.Equal(t, "a", d.agentID)
	assert.Equal(t, time.Date(2026, 11, 22, 10, 59, 59, 123456789, time.UTC), r.Timestamp().AsTime())
	assert.Equal(t, noon, r.ObservedTimestamp().AsTime())
	assert.Equal(t, plog.SeverityNumberWarn, r.SeverityNumber())
	assert.Equal(t, "warning", r.SeverityText())
	assert.Equal(t, "it happened", r.Body().Str())
	assert.Equal(t, pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, r.TraceID())
	assert.Equal(t, pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, r.SpanID())
	assert.Equal(t, map[string]any{
		"measurement.count": int64(1), "measurement.ratio": 0.5, "measurement.big": int64(9007199254740993), "measurement.huge": 18446744073709551616.0,
		"user": "ana", "ok": true, "none": nil, "id": int64(9007199254740993), "huge": "123456789012345678901234567890",
		"f": 1.5, "list": []any{int64(1), "a", map[string]any{"x": []any{int64(2)}}}, "nested": map[string]any{"deep": map[string]any{"er": "é\n"}},
		"foundation.process": "<0.1.0>", "foundation.once_per": "10s", "dedup_key": "k",
		"foundation.batch.key": "b", "foundation.batch.size": int64(100), "foundation.batch.timeout": "5s",
	}, r.Attributes().AsRaw())
}

func TestLeastEvent(t *testing.T) {
	d, rejected := decode(t, `{"name":"test.event"}`)
	require.Nil(t, rejected)
	assert.Equal(t, noon, d.record.Timestamp().AsTime(), "an event without a time is of when it came")
	assert.Equal(t, plog.SeverityNumberUnspecified, d.record.SeverityNumber())
	assert.Zero(t, d.record.Attributes().Len())
}

// Encoders write absent values as null.
func TestNullIsAbsent(t *testing.T) {
	d, rejected := decode(t, `{"name":"e","call":null,"measurements":null,"metadata":null,"timestamp":null,"severity":null,"body":null,
		"agent_id":null,"process":null,"trace_id":null,"span_id":null,"once_per":null,"dedup_key":null,"batch":null}`)
	require.Nil(t, rejected)
	assert.Zero(t, d.record.Attributes().Len())
	assert.Equal(t, pcommon.ValueTypeEmpty, d.record.Body().Type())
}

func TestTimes(t *testing.T) {
	for _, text := range []string{`1795348799123456789`, `"1795348799123456789"`, `"2026-11-22T11:59:59.123456789Z"`} {
		d, rejected := decode(t, `{"name":"e","timestamp":`+text+`}`)
		require.Nil(t, rejected, text)
		assert.EqualValues(t, 1795348799123456789, d.record.Timestamp(), text)
	}
}

func TestSeverities(t *testing.T) {
	for text, want := range map[string]plog.SeverityNumber{
		`"ERROR"`: 17, `"error"`: 17, `"Error"`: 17, `"warn4"`: 16, `"notice"`: 10, `"emergency"`: 21, `"alert"`: 19, `"critical"`: 18, `1`: 1, `24`: 24,
	} {
		d, rejected := decode(t, `{"name":"e","severity":`+text+`}`)
		require.Nil(t, rejected, text)
		assert.Equal(t, want, d.record.SeverityNumber(), text)
	}
}

func TestControlAttributesAreLeftOut(t *testing.T) {
	d, rejected := decode(t, `{"name":"e","metadata":{"foundation.dedup.summary":true,"foundation.agent.unproven":false,
		"sampling.adjusted_count":1000000,"foundation.\u0078":{"deep":[1]},"foundation.legacy":true,"foundationally":1,"dedup_key":"k"}}`)
	require.Nil(t, rejected)
	assert.Equal(t, map[string]any{"foundation.legacy": true, "foundationally": int64(1), "dedup_key": "k"}, d.record.Attributes().AsRaw())
	assert.Equal(t, 4, d.stripped)
}

func TestDedupKeyOfTheEventIsOverOneInItsMetadata(t *testing.T) {
	for _, event := range []string{`{"name":"e","metadata":{"dedup_key":"m"},"dedup_key":"k"}`, `{"name":"e","dedup_key":"k","metadata":{"dedup_key":"m"}}`} {
		d, rejected := decode(t, event)
		require.Nil(t, rejected)
		assert.Equal(t, map[string]any{"dedup_key": "k"}, d.record.Attributes().AsRaw())
	}
}

func TestWrongEvents(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	tests := []struct {
		event   string
		code    string
		message string // part of it
	}{
		{`{`, "invalid_json", "unexpected EOF"},
		{`[]`, "invalid_json", "object"},
		{`"x"`, "invalid_json", "object"},
		{`nope`, "invalid_json", "found null"},
		{`{"name":"e"} {"name":"f"}`, "invalid_json", "application/x-ndjson"},
		{`{"name":"e",}`, "invalid_json", ""},
		{`{"name":"e","name":"f"}`, "invalid_json", "duplicate"},
		{`{"name":"e","metadata":{"a":1,"a":2}}`, "invalid_json", "duplicate"},
		{"{\"name\":\"\xff\"}", "invalid_json", "UTF-8"},
		{`{}`, "invalid_field", "name: absent"},
		{`{"name":""}`, "invalid_field", "empty part"},
		{`{"name":[]}`, "invalid_field", "empty part"},
		{`{"name":["a",""]}`, "invalid_field", "empty part"},
		{`{"name":"a..b"}`, "invalid_field", "empty part"},
		{`{"name":["a",1]}`, "invalid_field", "name"},
		{`{"name":7}`, "invalid_field", "name: a number"},
		{`{"name":"a\nb"}`, "invalid_field", "control character"},
		{`{"name":"` + long + `"}`, "invalid_field", "at most 256"},
		{`{"name":"e","nam":"e"}`, "unknown_field", `"nam" is not known; allowed are name`},
		{`{"name":"e","Measurements":{}}`, "unknown_field", "Measurements"},
		{`{"name":"e","measurements":{"a":NaN}}`, "invalid_field", "give a number (not NaN or infinite)"},
		{`{"name":"e","measurements":{"a":"NaN"}}`, "invalid_field", `"a" is a string; give a number`},
		{`{"name":"e","measurements":{"a":1e999}}`, "invalid_field", "out of the range"},
		{`{"name":"e","measurements":{"a":-1e999}}`, "invalid_field", "out of the range"},
		{`{"name":"e","measurements":{"a":null}}`, "invalid_field", "give a number"},
		{`{"name":"e","measurements":{"":1}}`, "invalid_field", "empty"},
		{`{"name":"e","measurements":[1]}`, "invalid_field", "measurements: an array"},
		{`{"name":"e","metadata":{"a":1e999}}`, "invalid_field", "out of the range"},
		{`{"name":"e","metadata":{"":1}}`, "invalid_field", "empty"},
		{`{"name":"e","metadata":{"measurement.a":1}}`, "invalid_field", "give it under measurements"},
		{`{"name":"e","batch":"x"}`, "invalid_field", "batch: a string"},
		{`{"name":"e","metadata":"x"}`, "invalid_field", "metadata: a string"},
		{`{"name":"e","metadata":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, "invalid_field", "deeper than 32"},
		{`{"name":"e","metadata":{"a":[` + strings.Repeat("0,", maxValues) + `0]}}`, "invalid_field", "more than 4096 values"},
		{`{"name":"e","timestamp":"yesterday"}`, "invalid_field", "RFC 3339"},
		{`{"name":"e","timestamp":1.5}`, "invalid_field", "RFC 3339"},
		{`{"name":"e","timestamp":true}`, "invalid_field", "RFC 3339"},
		{`{"name":"e","timestamp":1795348799}`, "invalid_field", "unix nanoseconds"},
		{`{"name":"e","timestamp":1795348799123}`, "invalid_field", "unix nanoseconds"},
		{`{"name":"e","timestamp":"1999-12-31T00:00:00Z"}`, "invalid_field", "since 2000"},
		{`{"name":"e","timestamp":"2026-11-24T00:00:00Z"}`, "invalid_field", "a day ahead"},
		{`{"name":"e","severity":"LOUD"}`, "invalid_field", `"LOUD" is not allowed; give TRACE`},
		{`{"name":"e","severity":0}`, "invalid_field", "1 to 24"},
		{`{"name":"e","severity":25}`, "invalid_field", "1 to 24"},
		{`{"name":"e","severity":17.5}`, "invalid_field", "1 to 24"},
		{`{"name":"e","agent_id":"a\u0000"}`, "invalid_field", "control character"},
		{`{"name":"e","agent_id":1}`, "invalid_field", "agent_id: a number"},
		{`{"name":"e","process":"` + long + `"}`, "invalid_field", "at most 256"},
		{`{"name":"e","trace_id":"abc"}`, "invalid_field", "32 hex digits"},
		{`{"name":"e","trace_id":"zz02030405060708090a0b0c0d0e0f10"}`, "invalid_field", "32 hex digits"},
		{`{"name":"e","span_id":"01020304050607080"}`, "invalid_field", "16 hex digits"},
		{`{"name":"e","once_per":"10"}`, "invalid_field", "once_per"},
		{`{"name":"e","once_per":"-1s"}`, "invalid_field", "above 0"},
		{`{"name":"e","once_per":10}`, "invalid_field", "once_per: a number"},
		{`{"name":"e","batch":{"key":"b"}}`, "invalid_field", "size or a timeout"},
		{`{"name":"e","batch":{"size":1}}`, "invalid_field", "give a key"},
		{`{"name":"e","batch":{"key":"b","size":0}}`, "invalid_field", "batch.size"},
		{`{"name":"e","batch":{"key":"b","size":1.5}}`, "invalid_field", "batch.size"},
		{`{"name":"e","batch":{"key":"b","timeout":"soon"}}`, "invalid_field", "batch.timeout"},
		{`{"name":"e","batch":{"key":"b","size":1,"sise":1}}`, "unknown_field", "sise"},
		{`{"name":"e","call":"span.start"}`, "unknown_call", "span.start"},
	}
	for _, tt := range tests {
		_, rejected := decode(t, tt.event)
		if assert.NotNil(t, rejected, tt.event) {
			assert.Equal(t, tt.code, rejected.reason.String(), "%s: %s", tt.event, rejected.message)
			assert.Contains(t, rejected.message, tt.message, tt.event)
		}
	}
}

// A decoder that met an error reads the next event as if it were the first.
func TestDecoderIsCleanAfterAnError(t *testing.T) {
	d := newEventDecoder()
	require.Error(t, d.decode([]byte(`{"name":"a","agent_id":"x","dedup_key":"k","metadata":{"foundation.x":1,"y":[[`), noon))
	require.NoError(t, d.decode([]byte(`{"name":"b"}`), noon))
	assert.Equal(t, "b", d.record.EventName())
	assert.Empty(t, d.agentID)
	assert.Zero(t, d.stripped)
	assert.Zero(t, d.record.Attributes().Len())
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"name":["a","b"],"measurements":{"n":1.5},"metadata":{"k":[null,{"x":"\u00e9"}]},"timestamp":1795348799123456789}`))
	f.Add([]byte(`{"name":"e","batch":{"key":"b","size":1},"once_per":"1s","severity":17,"call":"event"}`))
	f.Add([]byte(`{"name":"e","metadata":{"foundation.x":{"a":[1]}}}`))
	d := newEventDecoder()
	f.Fuzz(func(t *testing.T, event []byte) {
		err := d.decode(event, noon)
		if err != nil {
			var rejected *rejection
			require.ErrorAs(t, err, &rejected)
			return
		}
		require.NotEmpty(t, d.record.EventName())
		seen := map[string]bool{}
		for key := range d.record.Attributes().All() {
			require.False(t, seen[key], "%q twice", key)
			seen[key] = true
		}
		// What was taken can leave as OTLP and come back.
		logs := plog.NewLogs()
		d.record.MoveTo(logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
		wire, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		_, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(wire)
		require.NoError(t, err)
	})
}
