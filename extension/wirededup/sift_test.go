package wirededup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/extension/wirededup/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/wire"
)

// events is a table that suppresses records whose event name begins with "loud".
type events map[string]*event

type event struct {
	loud, traced bool
	severity     plog.SeverityNumber
	count        int
}

func (events) Open() bool { return true }

func (t events) Learn(one plog.Logs) wire.Event {
	var name string
	for only := range counts(one) {
		name = only
	}
	if t[name] == nil {
		lr := one.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		t[name] = &event{loud: strings.Contains(name, "loud"), traced: !lr.TraceID().IsEmpty(), severity: lr.SeverityNumber()}
	}
	return t[name]
}

func (e *event) Suppressed() time.Duration {
	if e.loud {
		return time.Hour
	}
	return 0
}

func (e *event) Count(n int) { e.count += n }

// identity is all of a record less its times.
func identity(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) string {
	return fmt.Sprint(rl.Resource().Attributes().AsRaw(), rl.SchemaUrl(), sl.Scope().Name(), sl.Scope().Attributes().AsRaw(), sl.SchemaUrl(),
		lr.EventName(), lr.SeverityNumber(), lr.Body().AsRaw(), lr.Attributes().AsRaw(), lr.TraceID(), lr.SpanID(), lr.Flags())
}

func counts(ld plog.Logs) map[string]int {
	n := map[string]int{}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				n[identity(rl, sl, lr)]++
			}
		}
	}
	return n
}

func newTestSieve(t interface{ Helper() }) *sieve {
	t.Helper()
	return newSieve(extensiontest.NewNopSettings(metadata.Type), &Config{})
}

func drawLogs(rt *rapid.T) plog.Logs {
	ld := plog.NewLogs()
	for range rapid.IntRange(0, 3).Draw(rt, "resources") {
		rl := ld.ResourceLogs().AppendEmpty()
		if rapid.Bool().Draw(rt, "resource") {
			rl.Resource().Attributes().PutStr("service.name", rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "service"))
		}
		rl.SetSchemaUrl(rapid.SampledFrom([]string{"", "https://example.org/1"}).Draw(rt, "schema"))
		for range rapid.IntRange(0, 3).Draw(rt, "scopes") {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName(rapid.SampledFrom([]string{"", "s"}).Draw(rt, "scope"))
			for range rapid.IntRange(0, 8).Draw(rt, "records") {
				drawRecord(rt, sl.LogRecords().AppendEmpty())
			}
		}
	}
	return ld
}

func drawRecord(rt *rapid.T, lr plog.LogRecord) {
	lr.SetEventName(rapid.SampledFrom([]string{"loud", "loud.too", "quiet", ""}).Draw(rt, "event"))
	lr.SetTimestamp(pcommon.Timestamp(rapid.Uint64().Draw(rt, "time")))
	lr.SetObservedTimestamp(pcommon.Timestamp(rapid.Uint64().Draw(rt, "observed")))
	lr.SetSeverityNumber(plog.SeverityNumber(rapid.SampledFrom([]int{0, 13, 17, 24}).Draw(rt, "severity")))
	lr.Body().SetInt(int64(rapid.IntRange(0, 1).Draw(rt, "body")))
	if rapid.Bool().Draw(rt, "attributed") {
		lr.Attributes().PutStr("k", rapid.SampledFrom([]string{"x", strings.Repeat("long", 100)}).Draw(rt, "k"))
	}
	if rapid.IntRange(0, 3).Draw(rt, "traced") == 0 {
		lr.SetTraceID(pcommon.TraceID{1})
	}
}

// What is left and what is counted are what came, of each record; only what the table suppresses is taken, nothing
// that has a trace, and no error where they are not wanted.
func TestSiftKeepsAccount(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, table := newTestSieve(t), events{}
		s.errors = rapid.Bool().Draw(rt, "errors")
		came, left := map[string]int{}, map[string]int{}
		for range rapid.IntRange(1, 6).Draw(rt, "requests") {
			ld := drawLogs(rt)
			request, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
			require.NoError(rt, err)
			rest, tally := s.sift(request, table)
			decoded := plogotlp.NewExportRequest()
			require.NoError(rt, decoded.UnmarshalProto(rest))
			if tally != nil {
				if rapid.IntRange(0, 4).Draw(rt, "refused") == 0 {
					tally.release() // the sender keeps all of it
					continue
				}
				s.commit(tally)
				tally.release()
			}
			for name, n := range counts(ld) {
				came[name] += n
			}
			for name, n := range counts(decoded.Logs()) {
				left[name] += n
			}
		}
		for name, e := range table {
			require.True(rt, e.count == 0 || e.loud && !e.traced && (s.errors || e.severity < plog.SeverityNumberError), name)
			if e.count > 0 {
				left[name] += e.count
			}
		}
		require.Equal(rt, came, left)
	})
}

// A record is decoded when it is new, when it comes again, and never after that, whatever its times.
func TestRepeatsAreTakenOut(t *testing.T) {
	s, table := newTestSieve(t), events{}
	for i, want := range []int{1, 1, 0, 0} {
		ld := plog.NewLogs()
		lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		lr.SetEventName("loud")
		lr.SetTimestamp(pcommon.Timestamp(1000 + i))
		lr.SetObservedTimestamp(pcommon.Timestamp(2000 + i))
		request, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
		require.NoError(t, err)
		rest, tally := s.sift(request, table)
		decoded := plogotlp.NewExportRequest()
		require.NoError(t, decoded.UnmarshalProto(rest))
		require.Equal(t, want, decoded.Logs().LogRecordCount(), "record %d", i)
		if tally != nil {
			s.commit(tally)
			tally.release()
		}
	}
	require.Equal(t, int64(2), s.records.Load())
}

// Where nothing repeats, one request in eight is looked through.
func TestIdleSieveLooksSeldom(t *testing.T) {
	s := newTestSieve(t)
	looked := 0
	for range 10 * oneIn {
		if s.look() {
			looked++
		}
	}
	require.Equal(t, patience+9, looked)
}

// Whatever the bytes are: what decodes still decodes, to the same number of records less those that are counted.
func FuzzSift(f *testing.F) {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range 3 {
		records.AppendEmpty().SetEventName("loud")
	}
	seed, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	require.NoError(f, err)
	f.Add(seed)
	f.Add(protowire.AppendBytes(protowire.AppendTag(seed, 7, protowire.BytesType), []byte("unknown")))
	f.Add(append(seed, 0x0b, 0x0c)) // an empty group
	f.Add(append(seed, 0xff))
	f.Fuzz(func(t *testing.T, request []byte) {
		s, table := newTestSieve(t), events{}
		whole := plogotlp.NewExportRequest()
		valid := whole.UnmarshalProto(request) == nil
		for range 4 {
			rest, tally := s.sift(request, table)
			decoded := plogotlp.NewExportRequest()
			require.Equal(t, valid, decoded.UnmarshalProto(rest) == nil)
			if !valid {
				continue
			}
			taken := 0
			if tally != nil {
				for _, c := range tally.counted {
					taken += c.n
				}
				s.commit(tally)
				tally.release()
			}
			require.Equal(t, whole.Logs().LogRecordCount(), decoded.Logs().LogRecordCount()+taken)
		}
	})
}
