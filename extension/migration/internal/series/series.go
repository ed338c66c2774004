// Package series keeps what signals were like over weeks, in few points, for reports.
package series

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
)

// pointsPerChunk bounds what is written again with each point.
const pointsPerChunk = 288

// Point is the mean of each signal over one resolution.
type Point struct {
	At     time.Time          `json:"at"` // its begin
	Values map[string]float64 `json:"values"`
}

// Store is where points are kept.
type Store interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(values map[string][]byte) (ticket uint64)
}

// Series keeps points. Safe for concurrent use.
type Series struct {
	resolution time.Duration
	retention  time.Duration
	store      Store

	mu     sync.Mutex
	chunks map[int64][]Point // by number of the chunk's time
	sums   map[string]sum    // of the point that is not yet full
	begun  time.Time         // of that point; zero before the first sample
}

type sum struct {
	total float64
	n     int
}

// Open reads what is kept.
func Open(ctx context.Context, s Store, resolution, retention time.Duration) (*Series, error) {
	r := &Series{resolution: resolution, retention: retention, store: s, chunks: map[int64][]Point{}, sums: map[string]sum{}}
	chunks, err := read[[]int64](ctx, s, r.indexKey())
	if err != nil {
		return nil, err
	}
	for _, n := range chunks {
		if r.chunks[n], err = read[[]Point](ctx, s, r.key(n)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// read decodes a key. What is damaged is as if it were not there: a picture is no reason not to start.
func read[T any](ctx context.Context, s Store, key string) (v T, err error) {
	stored, err := s.Get(ctx, key)
	if err != nil {
		return v, fmt.Errorf("storage: %w", err)
	}
	var decoded T
	if json.Unmarshal(stored, &decoded) == nil {
		v = decoded
	}
	return v, nil
}

func (r *Series) indexKey() string { return fmt.Sprintf("series/%s", r.resolution) }

func (r *Series) key(chunk int64) string { return fmt.Sprintf("series/%s/%d", r.resolution, chunk) }

func (r *Series) chunkOf(at time.Time) int64 {
	return at.UnixNano() / int64(r.resolution*pointsPerChunk)
}

// Record takes a sample in.
func (r *Series) Record(s signal.Sample, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin := s.At.Truncate(r.resolution)
	if !begin.Equal(r.begun) {
		r.closePoint()
		r.begun = begin
	}
	for name, value := range s.Values {
		if value.OK {
			old := r.sums[name]
			r.sums[name] = sum{old.total + value.Number, old.n + 1}
		}
	}
}

// closePoint stores the point that is full. r.mu is held.
func (r *Series) closePoint() {
	if len(r.sums) == 0 {
		return
	}
	p := r.point()
	r.sums = map[string]sum{}
	n := r.chunkOf(p.At)
	r.chunks[n] = append(r.chunks[n], p)
	values := map[string][]byte{r.key(n): encode(r.chunks[n])}
	for old := range r.chunks {
		if old < r.chunkOf(p.At.Add(-r.retention)) {
			delete(r.chunks, old)
			values[r.key(old)] = nil
		}
	}
	values[r.indexKey()] = encode(slices.Sorted(maps.Keys(r.chunks)))
	r.store.Put(values)
}

func encode(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // finite numbers and times
	}
	return encoded
}

// Between returns the points of a time, oldest first, the one that is not yet full too.
func (r *Series) Between(from, to time.Time) []Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	var points []Point
	for _, n := range slices.Sorted(maps.Keys(r.chunks)) {
		for _, p := range r.chunks[n] {
			if !p.At.Before(from) && p.At.Before(to) {
				points = append(points, p)
			}
		}
	}
	if len(r.sums) > 0 && !r.begun.Before(from) && r.begun.Before(to) {
		points = append(points, r.point())
	}
	return points
}

// point is the one that is not yet full. r.mu is held.
func (r *Series) point() Point {
	p := Point{At: r.begun.UTC(), Values: map[string]float64{}}
	for name, s := range r.sums {
		p.Values[name] = s.total / float64(s.n)
	}
	return p
}
