package extevent

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNextWaitsForPut(t *testing.T) {
	b := NewBuffer(4)
	got := make(chan Event)
	go func() {
		e, _ := b.Next(context.Background())
		got <- e
	}()
	b.Put(Event{Name: "flag.changed"})
	assert.Equal(t, "flag.changed", (<-got).Name)
}

func TestNextEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := NewBuffer(4).Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// The buffer is a queue that forgets its oldest, as a slice would be.
func TestBufferIsABoundedQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		b, model, dropped := NewBuffer(limit), []string(nil), uint64(0)
		for i, put := range rapid.SliceOf(rapid.Bool()).Draw(t, "steps") {
			if put {
				name := fmt.Sprint(i)
				b.Put(Event{Name: name})
				if model = append(model, name); len(model) > limit {
					model, dropped = model[1:], dropped+1
				}
			} else if e, ok := b.TryNext(); len(model) == 0 {
				require.False(t, ok)
			} else {
				require.True(t, ok)
				require.Equal(t, model[0], e.Name)
				model = model[1:]
			}
			require.Equal(t, dropped, b.Dropped())
		}
	})
}

func TestEveryEventIsTakenOnceByOneOfManyReaders(t *testing.T) {
	const events, readers = 1000, 4
	b := NewBuffer(events)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{}
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for {
				e, err := b.Next(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				seen[e.Name]++
				if len(seen) == events {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for i := range events {
		b.Put(Event{Name: fmt.Sprint(i)})
	}
	reading.Wait()
	assert.Len(t, seen, events)
	for name, n := range seen {
		assert.Equal(t, 1, n, name)
	}
}
