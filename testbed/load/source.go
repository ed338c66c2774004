package load

import (
	"bytes"
	"sync/atomic"
)

// Methods of the OTLP/gRPC services.
const (
	logsMethod   = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
	tracesMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
)

// Source gives requests of one kind without end. Safe for any number of senders.
type Source struct {
	// Name in results.
	Name string
	// Records of a turn, as they are counted: log records, spans, pairs.
	Records int

	method string
	parts  []*template // the requests of a turn, sent one after another
	key    func(n uint64) uint64
	offset uint64 // number of the first record
	cycle  uint64 // spans that records belong to in turn; 0 for spans, which are each their own
	turns  atomic.Uint64
}

// turn is what one sender sends next; its bytes are reused for the sender's following turn.
type turn struct {
	source *Source
	bytes  [][]byte
}

func (s *Source) newTurn() *turn {
	t := &turn{source: s}
	for _, p := range s.parts {
		t.bytes = append(t.bytes, bytes.Clone(p.bytes))
	}
	return t
}

// next fills in the turn with the source's next records.
func (t *turn) next() {
	first := t.source.offset + (t.source.turns.Add(1)-1)*uint64(t.source.Records)
	for i, p := range t.source.parts {
		p.patch(t.bytes[i], first, t.source)
	}
}

// Made is how many records senders have taken from the source so far.
func (s *Source) Made() int { return int(s.turns.Load()) * s.Records }
