package store

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk keeps what is written, or fails, or hangs.
type disk struct {
	mu     sync.Mutex
	data   map[string]string
	err    error
	hang   chan struct{}
	writes int
}

func (d *disk) Get(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []byte(d.data[key]), nil
}
func (d *disk) Set(context.Context, string, []byte) error { panic("not used") }
func (d *disk) Delete(context.Context, string) error      { panic("not used") }
func (d *disk) Close(context.Context) error               { return nil }

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	if d.hang != nil {
		<-d.hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.err != nil {
		return d.err
	}
	for _, op := range ops {
		if op.Type == storage.Delete {
			delete(d.data, op.Key)
		} else {
			d.data[op.Key] = string(op.Value)
		}
	}
	return nil
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *disk) all() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.data)
}

func TestWriteAndDelete(t *testing.T) {
	d := &disk{data: map[string]string{}}
	s := New(d)
	require.NoError(t, s.Write(t.Context(), map[string][]byte{"a": []byte("1"), "b": []byte("2")}))
	require.NoError(t, s.Write(t.Context(), map[string][]byte{"a": nil}))
	assert.Equal(t, map[string]string{"b": "2"}, d.all())
	require.NoError(t, s.Close(t.Context()))
	require.ErrorIs(t, s.Write(t.Context(), map[string][]byte{"c": nil}), ErrClosed)
}

// A failing disk is told at once, and what it missed is written when it is back: the last value of each key.
func TestDiskRecovers(t *testing.T) {
	d := &disk{data: map[string]string{}, err: errors.New("no space")}
	s := New(d)
	require.ErrorContains(t, s.Write(t.Context(), map[string][]byte{"a": []byte("1")}), "no space")
	require.ErrorContains(t, s.Write(t.Context(), map[string][]byte{"a": []byte("2"), "b": []byte("3")}), "no space")
	require.Error(t, s.Err())
	d.fail(nil)
	require.Eventually(t, func() bool { return s.Err() == nil }, 5*time.Second, 10*time.Millisecond)
	assert.Equal(t, map[string]string{"a": "2", "b": "3"}, d.all())
	require.NoError(t, s.Close(t.Context()))
}

// An error of before says nothing of what is put now.
func TestOldErrorIsNotReturned(t *testing.T) {
	d := &disk{data: map[string]string{}, err: errors.New("no space")}
	s := New(d)
	require.Error(t, s.Write(t.Context(), map[string][]byte{"a": []byte("1")}))
	d.fail(nil)
	require.NoError(t, s.Write(t.Context(), map[string][]byte{"b": []byte("2")}))
	require.NoError(t, s.Close(t.Context()))
}

func TestHungDiskHoldsUpNobody(t *testing.T) {
	d := &disk{data: map[string]string{}, hang: make(chan struct{})}
	s := New(d)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, s.Write(ctx, map[string][]byte{"a": []byte("1")}), "does not answer")
	for range 1000 {
		s.Put(map[string][]byte{"a": []byte("2")})
	}
	close(d.hang)
	require.NoError(t, s.Close(t.Context()))
	assert.Equal(t, map[string]string{"a": "2"}, d.all())
	assert.LessOrEqual(t, d.writes, 3, "what waited is one write")
}
