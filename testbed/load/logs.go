package load

import (
	"math/rand"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// LogShape is what the records of a source of logs look like.
type LogShape struct {
	// Event is the records' EventName; "" makes plain log records.
	Event string
	// Explicit puts the key into dedup_key; else it is an ordinary attribute that tells records apart.
	Explicit bool
	// Extra attributes of ExtraBytes each, for big records.
	Extra, ExtraBytes int
	// Batch is the records of a request.
	Batch int
	// Agent is the resource's agent.id; "" for none.
	Agent string
	// Spans, above 0, gives records the trace and span ids of that many spans in turn, as a source of spans numbers them.
	Spans uint64
	// Key of the nth record.
	Key func(n uint64) uint64
}

// Logs makes a source of log records: five attributes of everyday kinds, a body, severity.
func Logs(name string, shape LogShape) (*Source, error) {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	fillResource(rl.Resource(), shape.Agent)
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("testbed")
	for range shape.Batch {
		lr := sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(pcommon.Timestamp(timeMark))
		lr.SetObservedTimestamp(pcommon.Timestamp(timeMark))
		lr.SetSeverityNumber(plog.SeverityNumberWarn)
		lr.SetSeverityText("WARN")
		lr.SetEventName(shape.Event)
		lr.Body().SetStr("order could not be placed: the warehouse did not answer in time")
		key := "order.id"
		if shape.Explicit {
			key = "dedup_key"
		}
		lr.Attributes().PutStr(key, keyMark)
		lr.Attributes().PutStr("http.request.method", "POST")
		lr.Attributes().PutStr("http.route", "/v1/orders/{id}")
		lr.Attributes().PutInt("http.response.status_code", 503)
		lr.Attributes().PutDouble("measurement.wait_ms", 250)
		for i := range shape.Extra {
			lr.Attributes().PutStr("extra."+string(rune('a'+i)), filler(shape.ExtraBytes))
		}
		if shape.Spans > 0 {
			lr.SetTraceID(traceMark)
			lr.SetSpanID(spanMark)
		}
	}
	encoded, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		return nil, err
	}
	t, err := newTemplate(encoded, shape.Batch)
	if err != nil {
		return nil, err
	}
	return &Source{Name: name, Records: shape.Batch, method: logsMethod, parts: []*template{t}, key: shape.Key, cycle: shape.Spans}, nil
}

func fillResource(r pcommon.Resource, agent string) {
	r.Attributes().PutStr("service.name", "orders")
	r.Attributes().PutStr("service.instance.id", "orders-7f9c")
	r.Attributes().PutStr("host.name", "node-1")
	if agent != "" {
		r.Attributes().PutStr("agent.id", agent)
	}
}

// Cycle gives the keys 0 to n-1 in turn.
func Cycle(n uint64) func(uint64) uint64 { return func(i uint64) uint64 { return i % n } }

// Unique gives every record a key of its own.
func Unique(i uint64) uint64 { return i }

// Zipf gives keys below n with Zipf's distribution of exponent s, the same at every call: few keys are most of
// the traffic, and there is always another rare one.
func Zipf(s float64, n uint64) func(uint64) uint64 {
	draw := rand.NewZipf(rand.New(rand.NewSource(1)), s, 1, n-1)
	drawn := make([]uint64, 1<<20)
	for i := range drawn {
		drawn[i] = draw.Uint64()
	}
	return func(i uint64) uint64 { return drawn[i&(1<<20-1)] }
}
