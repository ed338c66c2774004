package dedup

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

func TestFirstMatchingRuleApplies(t *testing.T) {
	window := &DedupConfig{Window: time.Minute, Emit: emitFirst}
	for name, test := range map[string]struct {
		match MatchConfig
		taken func(lr plog.LogRecord)
		left  func(lr plog.LogRecord)
	}{
		"name":   {MatchConfig{Events: []string{"db.error"}}, named("db.error"), named("db.errors")},
		"glob":   {MatchConfig{Events: []string{"x", "db.*.failed"}}, named("db.a.failed"), named("db.a.ok")},
		"events": {MatchConfig{Events: []string{"*"}}, func(lr plog.LogRecord) { lr.Attributes().PutStr(attr.DedupKey, "k") }, func(plog.LogRecord) {}},
		"body":   {MatchConfig{Body: []string{"time(d)? ?out"}}, func(lr plog.LogRecord) { lr.Body().SetStr("it timed out") }, func(lr plog.LogRecord) { lr.Body().SetStr("fine") }},
		"body map": {MatchConfig{Body: []string{`"code":"E7"`}}, func(lr plog.LogRecord) { lr.Body().SetEmptyMap().PutStr("code", "E7") },
			func(lr plog.LogRecord) { lr.Body().SetEmptyMap().PutStr("code", "E8") }},
		"condition": {MatchConfig{Conditions: []string{`log.severity_number >= SEVERITY_NUMBER_ERROR`, `resource.attributes["r"] == "two"`}},
			func(lr plog.LogRecord) { lr.SetSeverityNumber(plog.SeverityNumberError) }, func(lr plog.LogRecord) { lr.SetSeverityNumber(plog.SeverityNumberInfo) }},
		"condition without context": {MatchConfig{Conditions: []string{`attributes["a"] == 1`}}, func(lr plog.LogRecord) { lr.Attributes().PutInt("a", 1) }, func(plog.LogRecord) {}},
		"all kinds":                 {MatchConfig{Events: []string{"e"}, Body: []string{"b"}}, func(lr plog.LogRecord) { lr.SetEventName("e"); lr.Body().SetStr("b") }, named("e")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config(Rule{Match: test.match, Dedup: window}), &sink{}, nil, someTime)
			r.send(events(3, "", "", func(_ int, lr plog.LogRecord) { test.taken(lr) }))
			require.Len(t, r.sink.all(), 1)
			r.send(events(3, "", "", func(_ int, lr plog.LogRecord) { test.left(lr) }))
			require.Len(t, r.sink.all(), 4)
		})
	}
}

func named(name string) func(plog.LogRecord) {
	return func(lr plog.LogRecord) { lr.SetEventName(name) }
}

func TestIdentity(t *testing.T) {
	rule := dedupRule(time.Minute, emitFirst)
	rule.Dedup.Exclude = []string{"attributes.request.id", `attributes.http\.id`, "body.at"}
	base := func(lr plog.LogRecord) {
		lr.SetEventName("e")
		lr.SetSeverityNumber(plog.SeverityNumberWarn)
		body := lr.Body().SetEmptyMap()
		body.PutStr("text", "x")
		body.PutInt("at", 1)
		lr.Attributes().PutStr("a", "1")
		lr.Attributes().PutStr("http.id", "1")
		lr.Attributes().PutEmptyMap("request").PutInt("id", 7)
		lr.Attributes().PutInt("measurement.ms", 5)
	}
	same := map[string]func(lr plog.LogRecord){
		"timestamp":          func(lr plog.LogRecord) { lr.SetTimestamp(7) },
		"trace":              func(lr plog.LogRecord) { lr.SetTraceID([16]byte{1}) },
		"excluded":           func(lr plog.LogRecord) { lr.Attributes().PutStr("http.id", "2") },
		"excluded, nested":   func(lr plog.LogRecord) { v, _ := lr.Attributes().Get("request"); v.Map().PutInt("id", 8) },
		"excluded in body":   func(lr plog.LogRecord) { lr.Body().Map().PutInt("at", 2) },
		"order":              func(lr plog.LogRecord) { lr.Attributes().Remove("a"); lr.Attributes().PutStr("a", "1") },
		"measurements":       func(lr plog.LogRecord) { lr.Attributes().PutInt("measurement.ms", 6) },
		"control attributes": func(lr plog.LogRecord) { lr.Attributes().PutInt(attr.AdjustedCount, 6) },
	}
	other := map[string]func(lr plog.LogRecord){
		"event name": func(lr plog.LogRecord) { lr.SetEventName("f") },
		"severity":   func(lr plog.LogRecord) { lr.SetSeverityNumber(plog.SeverityNumberError) },
		"body":       func(lr plog.LogRecord) { lr.Body().Map().PutStr("text", "y") },
		"value":      func(lr plog.LogRecord) { lr.Attributes().PutStr("a", "2") },
		"type":       func(lr plog.LogRecord) { lr.Attributes().PutInt("a", 1) },
		"attribute":  func(lr plog.LogRecord) { lr.Attributes().PutStr("b", "1") },
		"dedup_key":  func(lr plog.LogRecord) { lr.Attributes().PutStr(attr.DedupKey, "k") },
	}
	count := func(edit func(lr plog.LogRecord)) int {
		r := newRig(t, config(rule), &sink{}, nil, someTime)
		r.send(events(1, "", "", func(_ int, lr plog.LogRecord) { base(lr) }))
		r.send(events(1, "", "", func(_ int, lr plog.LogRecord) { base(lr); edit(lr) }))
		return len(r.sink.all())
	}
	for name, edit := range same {
		require.Equal(t, 1, count(edit), name)
	}
	for name, edit := range other {
		require.Equal(t, 2, count(edit), name)
	}
}

func TestExcludedFieldsAreNotInTheSummary(t *testing.T) {
	rule := dedupRule(time.Second, emitFirstAndSummary)
	rule.Dedup.Exclude = []string{"attributes.id", "body.at"}
	r := newRig(t, config(rule), &sink{}, nil, someTime)
	r.send(events(3, "e", "", func(i int, lr plog.LogRecord) {
		lr.Attributes().PutInt("id", int64(i))
		lr.Body().SetEmptyMap().PutInt("at", int64(i))
		lr.Body().Map().PutStr("text", "x")
	}))
	r.pass(1100 * time.Millisecond)
	summary := r.sink.all()[1]
	require.NotContains(t, summary.Attributes().AsRaw(), "id")
	require.Equal(t, map[string]any{"text": "x"}, summary.Body().Map().AsRaw())
}

// A gateway meets summaries of its agents.
func TestSummariesOfPeersAreAddedUnderTheirKey(t *testing.T) {
	cfg := config(dedupRule(time.Second, emitFirstAndSummary))
	cfg.Trust.Metadata = map[string][]configopaque.String{"x-tier": {"s3cret"}}
	peer := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(map[string][]string{"X-Tier": {"s3cret"}})})
	r := newRig(t, cfg, &sink{}, nil, someTime)
	summary := func() plog.Logs {
		return events(1, "e", "k", func(_ int, lr plog.LogRecord) {
			lr.Attributes().PutBool(attr.Summary, true)
			lr.Attributes().PutInt(attr.LogCount, 100)
			lr.Attributes().PutInt(attr.AdjustedCount, 99)
			lr.Attributes().PutInt("measurement.ms.sum", 990)
			lr.Attributes().PutInt("measurement.ms.min", 1)
			lr.Attributes().PutInt("measurement.ms.max", 50)
		})
	}
	require.NoError(t, r.ConsumeLogs(peer, summary()))
	require.NoError(t, r.ConsumeLogs(peer, summary()))
	require.Empty(t, r.sink.all())
	r.pass(1100 * time.Millisecond)
	got := r.sink.all()[0]
	require.Equal(t, int64(200), intOf(t, got, attr.LogCount))
	require.Equal(t, int64(198), intOf(t, got, attr.AdjustedCount))
	require.Equal(t, int64(1980), intOf(t, got, "measurement.ms.sum"))
	require.Equal(t, int64(1), intOf(t, got, "measurement.ms.min"))
	require.Equal(t, int64(50), intOf(t, got, "measurement.ms.max"))

	// The firsts that the summaries count came as records of their own: they are counted once.
	r.pass(10 * time.Second)
	for range 2 {
		require.NoError(t, r.ConsumeLogs(peer, events(1, "e", "k")))
		require.NoError(t, r.ConsumeLogs(peer, summary()))
	}
	r.pass(1100 * time.Millisecond)
	got = r.sink.all()[2]
	require.Equal(t, int64(200), intOf(t, got, attr.LogCount))
	require.Equal(t, int64(199), intOf(t, got, attr.AdjustedCount))
}

func TestControlAttributesOfStrangersAreStrippedAndCounted(t *testing.T) {
	r := newRig(t, config(Rule{Match: MatchConfig{Events: []string{"none"}}, Sampling: &SamplingConfig{Strategy: sampleAlways}}), &sink{}, nil, someTime)
	r.send(events(1, "e", "", func(_ int, lr plog.LogRecord) {
		lr.Attributes().PutInt(attr.AdjustedCount, 1_000_000)
		lr.Attributes().PutStr(attr.OncePer, "1h")
		lr.Attributes().PutStr(attr.Process, "<0.1.0>")
		lr.Attributes().PutBool(attr.Legacy, true)
		lr.Attributes().PutStr("a", "b")
	}))
	require.Equal(t, map[string]any{"a": "b", attr.Process: "<0.1.0>", attr.Legacy: true}, r.sink.all()[0].Attributes().AsRaw())
	require.Equal(t, int64(2), r.stripped.Load())
}

type authData map[string]any

func (a authData) GetAttribute(name string) any { return a[name] }
func (a authData) GetAttributeNames() []string  { return nil }

func TestPeers(t *testing.T) {
	trust, err := newTrust(TrustConfig{Auth: map[string][]string{"subject": {"gateway"}}, Addresses: []string{"10.1.0.0/16", "192.0.2.7"}})
	require.NoError(t, err)
	with := func(i client.Info) bool { return trust.of(client.NewContext(context.Background(), i)) }
	require.False(t, trust.of(context.Background()))
	require.True(t, trust.of(door.WithCaller(context.Background(), door.Caller{})), "the foundation receiver's own")
	require.True(t, with(client.Info{Auth: authData{"subject": "gateway"}}))
	require.True(t, with(client.Info{Auth: authData{"subject": []string{"x", "gateway"}}}))
	require.False(t, with(client.Info{Auth: authData{"subject": "other"}}))
	require.True(t, with(client.Info{Addr: &net.TCPAddr{IP: net.ParseIP("10.1.2.3"), Port: 7}}))
	require.True(t, with(client.Info{Addr: &net.IPAddr{IP: net.ParseIP("::ffff:192.0.2.7")}}))
	require.False(t, with(client.Info{Addr: &net.TCPAddr{IP: net.ParseIP("10.2.2.3")}}))
	require.False(t, with(client.Info{Addr: &net.UnixAddr{Name: "x"}}))
}

func TestCallersAreAnsweredWithinLimits(t *testing.T) {
	local := door.WithCaller(context.Background(), door.Caller{})
	rule := Rule{Caller: true, CallerLimits: CallerLimits{Window: 2 * time.Second, BatchSize: 5, BatchTimeout: time.Second}}
	once := func(d string) plog.Logs {
		return events(3, "e", "k", func(_ int, lr plog.LogRecord) { lr.Attributes().PutStr(attr.OncePer, d) })
	}
	r := newRig(t, config(rule), &sink{}, nil, someTime)
	require.NoError(t, r.ConsumeLogs(local, once("1h")))
	all := r.sink.all()
	require.Len(t, all, 1)
	require.NotContains(t, all[0].Attributes().AsRaw(), attr.OncePer, "it was answered here")
	r.pass(2100 * time.Millisecond)
	require.Len(t, r.sink.all(), 2, "the window was clamped to two seconds")
	r.send(events(3, "f", "k"))
	require.Len(t, r.sink.all(), 5, "who asks for nothing is left alone")

	batch := events(12, "b", "", func(_ int, lr plog.LogRecord) {
		lr.Attributes().PutStr(attr.BatchKey, "x")
		lr.Attributes().PutInt(attr.BatchSize, 1000)
		lr.Attributes().PutStr(attr.BatchTimeout, "1h")
		lr.Attributes().PutInt("measurement.n", 1)
	})
	require.NoError(t, r.ConsumeLogs(local, batch))
	r.step()
	all = r.sink.all()[5:]
	require.Len(t, all, 2, "the size was clamped to five")
	require.Equal(t, int64(5), intOf(t, all[0], attr.BatchRecords))
	require.Equal(t, int64(5), intOf(t, all[0], attr.AdjustedCount))
	require.Equal(t, int64(5), intOf(t, all[0], "measurement.n.sum"))
	r.pass(1100 * time.Millisecond)
	require.Equal(t, int64(2), intOf(t, r.sink.all()[7], attr.BatchRecords), "and the timeout to a second")
}

// Equal events that the caller batches all join the batch, though the rule would deduplicate them by their content.
func TestAskedBatchTakesEqualEvents(t *testing.T) {
	rule := dedupRule(10*time.Second, emitFirstAndSummary)
	rule.Caller = true
	r := newRig(t, config(rule), &sink{}, nil, someTime)
	require.NoError(t, r.ConsumeLogs(door.WithCaller(context.Background(), door.Caller{}), events(12, "b", "", func(_ int, lr plog.LogRecord) {
		lr.Attributes().PutStr(attr.BatchKey, "x")
		lr.Attributes().PutInt(attr.BatchSize, 5)
		lr.Attributes().PutStr(attr.BatchTimeout, "1s")
	})))
	r.pass(1100 * time.Millisecond)
	all := r.sink.all()
	sizes := make([]int64, len(all))
	for i, lr := range all {
		sizes[i] = intOf(t, lr, attr.BatchRecords)
	}
	require.Equal(t, []int64{5, 5, 2}, sizes)
}

func TestBatchOfARule(t *testing.T) {
	r := newRig(t, config(Rule{Batch: &BatchConfig{Size: 4, Timeout: time.Second}}), &sink{}, nil, someTime)
	r.send(events(10, "e", ""))
	r.step()
	require.Len(t, r.sink.all(), 2)
	r.pass(1100 * time.Millisecond)
	require.Len(t, r.sink.all(), 3)
	require.Equal(t, 10.0, r.sink.weight())
}

func TestDryRunChangesNothingAndTells(t *testing.T) {
	rule := dedupRule(time.Minute, emitFirstAndSummary)
	rule.Name, rule.DryRun = "try", true
	r := newRig(t, config(rule), &sink{}, nil, someTime)
	r.send(events(90, "e", "busy"))
	r.send(events(10, "e", "calm"))
	require.Len(t, r.sink.all(), 100)
	report := r.info().Detail["rules"].(map[string]*RuleReport)["try"]
	require.True(t, report.DryRun)
	require.Equal(t, int64(98), report.Suppressed)
	require.InDelta(t, 0.98, report.SuppressedShare, 1e-9)
	require.Equal(t, int64(2), report.Keys)
	require.Positive(t, report.Bytes)
	require.Equal(t, []TopKey{{Event: "e", DedupKey: "busy", Events: 89}, {Event: "e", DedupKey: "calm", Events: 9}}, report.TopKeys)
	r.pass(2 * time.Minute)
	require.Len(t, r.sink.all(), 100)
	require.Equal(t, 100.0, r.sink.weight())
	require.Zero(t, report.Held)
}

func TestOffIsADrain(t *testing.T) {
	cfg := config(dedupRule(10*time.Second, emitFirstAndSummary))
	cfg.Flags = &flagsID
	flags := &switchable{on: true}
	r := newRig(t, cfg, &sink{}, testHost{flagsID: flags}, someTime)
	r.send(events(5, "e", "k"))
	flags.set(false)
	r.send(events(5, "e", "k"))
	require.Len(t, r.sink.all(), 6, "new records pass")
	r.pass(11 * time.Second)
	require.Len(t, r.sink.all(), 7, "what was held leaves as its window ends")
	require.Equal(t, 10.0, r.sink.weight())
	r.pass(10 * time.Second)
	flags.set(true)
	r.send(events(5, "e", "k"))
	require.Len(t, r.sink.all(), 8, "and a first again")
}

func TestTenantsAreKeptApart(t *testing.T) {
	cfg := config(dedupRule(time.Second, emitFirstAndSummary))
	cfg.MetadataKeys, cfg.MetadataCardinalityLimit = []string{"X-Tenant"}, 2
	var got []string
	next, err := consumer.NewLogs(func(ctx context.Context, _ plog.Logs) error {
		got = append(got, client.FromContext(ctx).Metadata.Get("x-tenant")...)
		return nil
	})
	require.NoError(t, err)
	p, err := newProcessor(processortest.NewNopSettings(typ), cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), testHost{}))
	p.outlet.stop()
	as := func(tenant string) error {
		return p.ConsumeLogs(client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(map[string][]string{"x-tenant": {tenant}})}), events(3, "e", "k"))
	}
	require.NoError(t, as("a"))
	require.NoError(t, as("b"))
	require.ErrorContains(t, as("c"), "metadata_cardinality_limit")
	require.NoError(t, p.outlet.deliverAll(context.Background()))
	require.ElementsMatch(t, []string{"a", "b", "a", "b"}, got)
	require.NoError(t, p.Shutdown(context.Background()))
}

func TestPressureIsPassedOn(t *testing.T) {
	cfg := config(dedupRule(time.Second, emitFirstAndSummary))
	cfg.Queue.Records = 3
	next := &sink{}
	r := newRig(t, cfg, next, nil, someTime)
	r.send(events(20, "e", "", func(i int, lr plog.LogRecord) { lr.Body().SetInt(int64(i % 10)) }))
	next.fail = func() error { return errors.New("down") }
	r.pass(1100 * time.Millisecond)
	require.Equal(t, int64(3), r.table.waiting.records.Load(), "the rest waits in the table")
	require.ErrorIs(t, r.ConsumeLogs(context.Background(), events(1, "e", "z")), errQueueFull)
	next.fail = nil
	for range 10 {
		r.pass(10 * time.Second)
	}
	require.Equal(t, 20.0, next.weight())
	r.send(events(1, "e", "z"))
}

func TestEvictedKeyGivesItsSummaryFirst(t *testing.T) {
	cfg := config(dedupRule(time.Hour, emitFirstAndSummary))
	cfg.MaxKeys = 2
	r := newRig(t, cfg, &sink{}, nil, someTime)
	for _, k := range []string{"a", "b", "a", "c"} { // b was used longest ago
		r.send(events(3, "e", k))
	}
	r.step()
	all := r.sink.all()
	require.Len(t, all, 4)
	require.Equal(t, "b", all[3].Attributes().AsRaw()[attr.DedupKey])
	require.Equal(t, int64(2), intOf(t, all[3], attr.AdjustedCount))
	require.Equal(t, int64(1), r.rules[0].stats.evicted.Load())
}
