package foundation

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

const benchEvent = `{"name":["test","event"],"measurements":{"count":1,"duration_ms":12.5},"metadata":{"dedup_key":"key-%d","user":"ana","region":"eu-west-1"},"severity":"INFO","agent_id":"agent-1","process":"<0.113.0>","trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708"}`

// BenchmarkDecode is one event's JSON to a log record.
func BenchmarkDecode(b *testing.B) {
	for name, event := range map[string]string{"least": `{"name":"test.event"}`, "typical": fmt.Sprintf(benchEvent, 7)} {
		b.Run(name, func(b *testing.B) {
			d, now, data := newEventDecoder(), time.Now(), []byte(event)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.decode(data, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLines is an NDJSON request of 1,000 events, from its body to the next consumer; an operation is an event.
func BenchmarkLines(b *testing.B) {
	r, err := newReceiver(createDefaultConfig().(*Config), nopSettings)
	if err != nil {
		b.Fatal(err)
	}
	r.logs.next = consumertest.NewNop()
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, benchEvent+"\n", i)
	}
	body := []byte(lines.String())
	req := httptest.NewRequest(http.MethodPost, "/v1/events", nil)
	req.Header.Set("Content-Type", "application/x-ndjson")
	b.SetBytes(int64(len(body) / 1000))
	b.ReportAllocs()
	for i := 0; i < b.N; i += 1000 {
		if a := r.serveEvents(req, &sender{caller: door.Caller{}}, body); a.status != 202 {
			b.Fatal(a)
		}
	}
}
