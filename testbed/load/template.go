// Package load makes OTLP requests that are encoded once and patched in place, so that the generator costs a
// small part of what it measures, and sends them over gRPC.
package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Marks stand in a request for what differs from record to record. They are found in the encoded bytes, where
// values of the same length take their place.
const (
	keyMark  = "@@@@@@@@@@@@@@@@"         // 16 hexadecimal digits of a record's key
	timeMark = uint64(0x1711223344556677) // the time of sending, unix nanoseconds
)

var (
	traceMark  = [16]byte{0xf0, 0x9d, 't', 'r', 'a', 'c', 'e', '-', 'm', 'a', 'r', 'k', 0x9d, 0xf0, 0xfe, 0xff}
	spanMark   = [8]byte{0xf0, 0x9d, 's', 'p', 'a', 'n', 0xfe, 0xff}
	parentMark = [8]byte{0xf0, 0x9d, 'r', 'o', 'o', 't', 0xfe, 0xff}
)

// template is an encoded request and the places of its marks, in the order of its records.
type template struct {
	bytes                      []byte
	keys, times, traces, spans []int
	parents                    []int
}

func newTemplate(encoded []byte, records int) (*template, error) {
	t := &template{bytes: encoded}
	t.keys = find(encoded, []byte(keyMark))
	t.times = find(encoded, binary.LittleEndian.AppendUint64(nil, timeMark))
	t.traces = find(encoded, traceMark[:])
	t.spans = find(encoded, spanMark[:])
	t.parents = find(encoded, parentMark[:])
	for name, places := range map[string][]int{"key": t.keys, "trace": t.traces, "span": t.spans} {
		if len(places) != 0 && len(places) != records {
			return nil, fmt.Errorf("%d %s marks for %d records", len(places), name, records)
		}
	}
	return t, nil
}

func find(encoded, mark []byte) []int {
	var places []int
	for from := 0; ; {
		i := bytes.Index(encoded[from:], mark)
		if i < 0 {
			return places
		}
		places = append(places, from+i)
		from += i + len(mark)
	}
}

// patch writes keys and ids of the records numbered from first, and the time, into a copy of the template's bytes.
func (t *template) patch(into []byte, first uint64, s *Source) {
	// The low 20 bits are the record's number, so that records of one key in one millisecond differ in time.
	now := uint64(time.Now().UnixNano()) &^ (1<<20 - 1)
	perRecord := max(1, len(t.times)/max(1, len(t.keys)))
	for i, at := range t.times {
		binary.LittleEndian.PutUint64(into[at:], now|(first+uint64(i/perRecord))&(1<<20-1))
	}
	for i, at := range t.keys {
		putHex(into[at:at+len(keyMark)], s.key(first+uint64(i)))
	}
	span := func(i int) uint64 {
		if s.cycle > 0 {
			return (first + uint64(i)) % s.cycle
		}
		return first + uint64(i)
	}
	for i, at := range t.traces {
		trace := span(i) / spansPerTrace
		binary.BigEndian.PutUint64(into[at:], 0x5eed<<48|1) // never all zero
		binary.BigEndian.PutUint64(into[at+8:], mix(trace))
	}
	for i, at := range t.spans {
		binary.BigEndian.PutUint64(into[at:], SpanID(span(i)))
	}
	for i, at := range t.parents {
		// Every span but the first of a trace has a parent, so parents are one fewer a trace.
		trace := first/spansPerTrace + uint64(i)/(spansPerTrace-1)
		binary.BigEndian.PutUint64(into[at:], SpanID(trace*spansPerTrace))
	}
}

// SpanID is the id of the nth span of a source.
func SpanID(n uint64) uint64 { return mix(n + 1) }

// mix spreads consecutive numbers as ids are spread (the finaliser of splitmix64; a bijection, so ids stay unique).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

const hexDigits = "0123456789abcdef"

func putHex(into []byte, v uint64) {
	for i := len(into) - 1; i >= 0; i-- {
		into[i] = hexDigits[v&15]
		v >>= 4
	}
}

// Key is the text that a record's key has in a request.
func Key(v uint64) string {
	var b [len(keyMark)]byte
	putHex(b[:], v)
	return string(b[:])
}

// filler is n bytes of text that compress as prose does.
func filler(n int) string {
	const words = "the quick brown agent jumps over the lazy collector and keeps the account straight "
	return strings.Repeat(words, n/len(words)+1)[:n]
}
