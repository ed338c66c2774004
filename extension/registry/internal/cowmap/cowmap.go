// Package cowmap is a map whose readers take no lock and write nothing shared: a reader never waits
// for a writer, and readers on many cores do not slow each other. Writers copy a shard.
package cowmap

import (
	"iter"
	"maps"
	"sync/atomic"
)

// shardCount keeps a shard at 40 entries when the map has 10,000: what a write copies.
const shardCount = 256

// Map is sharded and copied on write. Any number of goroutines may read at any time; writers must
// exclude each other.
type Map[K comparable, V any] struct {
	hash   func(K) uint64
	shards [shardCount]atomic.Pointer[map[K]V]
	size   atomic.Int64
}

// New returns an empty map whose shards are chosen by hash.
func New[K comparable, V any](hash func(K) uint64) *Map[K, V] {
	return &Map[K, V]{hash: hash}
}

// Load returns the value of k.
func (m *Map[K, V]) Load(k K) (v V, ok bool) {
	shard := m.shards[m.hash(k)%shardCount].Load()
	if shard == nil {
		return v, false
	}
	v, ok = (*shard)[k]
	return v, ok
}

// Store sets the value of k.
func (m *Map[K, V]) Store(k K, v V) {
	m.change(k, func(shard map[K]V) { shard[k] = v })
}

// Delete removes k.
func (m *Map[K, V]) Delete(k K) {
	m.change(k, func(shard map[K]V) { delete(shard, k) })
}

// Len is the number of entries.
func (m *Map[K, V]) Len() int { return int(m.size.Load()) }

// All yields the entries in no order. Each shard is seen as it was at one moment.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := range m.shards {
			shard := m.shards[i].Load()
			if shard == nil {
				continue
			}
			for k, v := range *shard {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

func (m *Map[K, V]) change(k K, fn func(map[K]V)) {
	at := &m.shards[m.hash(k)%shardCount]
	next := map[K]V{}
	if old := at.Load(); old != nil {
		next = maps.Clone(*old)
	}
	before := len(next)
	fn(next)
	at.Store(&next)
	m.size.Add(int64(len(next) - before))
}
