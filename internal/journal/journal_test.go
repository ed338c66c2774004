package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDisk = errors.New("disk failure")

// disk is a storage client that outlives its users and fails when told: what no real disk does on command.
type disk struct {
	mu    sync.Mutex
	data  map[string][]byte
	fails int // operations until the disk fails; negative: never
}

func newDisk() *disk { return &disk{data: map[string][]byte{}, fails: -1} }

func (d *disk) Get(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.data[key], nil
}

func (d *disk) Set(ctx context.Context, key string, value []byte) error {
	return d.Batch(ctx, storage.SetOperation(key, value))
}

func (d *disk) Delete(ctx context.Context, key string) error {
	return d.Batch(ctx, storage.DeleteOperation(key))
}

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails == 0 {
		return errDisk
	}
	d.fails = max(d.fails-1, -1)
	for _, op := range ops {
		switch op.Type {
		case storage.Set:
			d.data[op.Key] = append([]byte(nil), op.Value...)
		case storage.Delete:
			delete(d.data, op.Key)
		}
	}
	return nil
}

func (d *disk) Close(context.Context) error { return nil }

func (d *disk) failAfter(operations int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = operations
}

// owner is a component whose state is a map of strings.
type owner struct {
	mu    sync.Mutex
	state map[string]string
	log   *Log
}

func (o *owner) apply(_ uint32, record []byte) error {
	key, value, _ := strings.Cut(string(record), "=")
	o.state[key] = value
	return nil
}

func (o *owner) snapshot(emit func([]byte) error) error {
	o.mu.Lock()
	state := maps.Clone(o.state)
	o.mu.Unlock()
	for k, v := range state {
		if err := emit([]byte(k + "=" + v)); err != nil {
			return err
		}
	}
	return nil
}

func (o *owner) set(key, value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state[key] = value
	o.log.Append([]byte(key + "=" + value))
}

func openOwner(t require.TestingT, client storage.Client, interval time.Duration) *owner {
	o := &owner{state: map[string]string{}}
	log, err := Open(context.Background(), client, Config{Interval: interval, Format: 1, Snapshot: o.snapshot, Logger: zap.NewNop()}, o.apply)
	require.NoError(t, err)
	o.log = log
	return o
}

// What a Sync or Reset has confirmed is there after a crash at any write, and nothing that was never set.
func TestCrashAtAnyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDisk()
		confirmed := map[string]string{}
		ctx := context.Background()
		for life := range rapid.IntRange(1, 5).Draw(t, "lives") {
			o := openOwner(t, d, time.Hour)
			for k, v := range confirmed {
				require.GreaterOrEqual(t, o.state[k], v, "life %d", life)
			}
			confirmed = maps.Clone(o.state)
			d.failAfter(rapid.IntRange(0, 12).Draw(t, "operations until the crash"))
			for i := range rapid.IntRange(0, 20).Draw(t, "steps") {
				o.set(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"), fmt.Sprintf("%03d.%03d", life, i))
				var err error
				switch rapid.IntRange(0, 2).Draw(t, "then") {
				case 0:
					continue
				case 1:
					err = o.log.Sync(ctx)
				case 2:
					err = o.log.Reset(ctx)
				}
				if err == nil {
					confirmed = maps.Clone(o.state)
				}
			}
			d.failAfter(0) // crashed: Close writes nothing more
			_ = o.log.Close(ctx)
			d.failAfter(-1)
		}
	})
}

// A snapshot replaces what came before it: the store does not grow with the number of changes.
func TestSnapshotReplacesJournal(t *testing.T) {
	d := newDisk()
	o := openOwner(t, d, time.Hour)
	big := strings.Repeat("x", 100_000)
	for i := range 400 {
		o.set("key", fmt.Sprint(i, big))
		if i%20 == 0 {
			require.NoError(t, o.log.Sync(t.Context()))
		}
	}
	require.NoError(t, o.log.Close(t.Context()))
	var stored int
	for _, v := range d.data {
		stored += len(v)
	}
	require.Less(t, stored, 2*minJournal, "40 MB were appended")
	again := openOwner(t, d, time.Hour)
	require.Equal(t, o.state, again.state)
	require.NoError(t, again.log.Close(t.Context()))
}

// A state that only grows is written once.
func TestGrowthIsNotRewritten(t *testing.T) {
	d := newDisk()
	state := map[string]string{}
	o := &owner{state: state}
	log, err := Open(t.Context(), d, Config{Interval: time.Hour, Format: 1, Snapshot: func(func([]byte) error) error {
		t.Error("a snapshot")
		return nil
	}, Live: func() int64 { return int64(len(state)) * 100_000 }, Logger: zap.NewNop()}, o.apply)
	require.NoError(t, err)
	o.log = log
	big := strings.Repeat("x", 100_000)
	for i := range 200 {
		o.set(fmt.Sprint(i), big)
		require.NoError(t, log.Sync(t.Context()))
	}
	require.NoError(t, log.Close(t.Context()))
}

// A disk that fails for a while costs durability only for that while.
func TestDiskRecovers(t *testing.T) {
	d := newDisk()
	o := openOwner(t, d, time.Millisecond)
	d.failAfter(0)
	o.set("a", "1")
	require.Eventually(t, func() bool { return o.log.Err() != nil }, 10*time.Second, time.Millisecond)
	o.set("a", "2")
	d.failAfter(-1)
	require.Eventually(t, func() bool { return o.log.Err() == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, o.log.Close(t.Context()))
	again := openOwner(t, d, time.Hour)
	require.Equal(t, map[string]string{"a": "2"}, again.state)
	require.NoError(t, again.log.Close(t.Context()))
}

// What waits for a dead disk is bounded; the next write is then a snapshot.
func TestPendingIsBounded(t *testing.T) {
	d := newDisk()
	o := openOwner(t, d, time.Hour)
	d.failAfter(0)
	big := strings.Repeat("x", 1<<20)
	for i := range 3 * maxPending >> 20 {
		o.set("key", fmt.Sprint(i, big))
	}
	require.LessOrEqual(t, o.log.pending.bytes, maxPending)
	require.ErrorIs(t, o.log.Sync(t.Context()), errDisk)
	d.failAfter(-1)
	require.NoError(t, o.log.Sync(t.Context()))
	require.NoError(t, o.log.Close(t.Context()))
	again := openOwner(t, d, time.Hour)
	require.Equal(t, o.state, again.state)
	require.NoError(t, again.log.Close(t.Context()))
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	d := newDisk()
	o := openOwner(t, d, time.Hour)
	o.set("a", "1")
	require.NoError(t, o.log.Close(t.Context()))
	before := maps.Clone(d.data)
	for format, want := range map[uint32]error{0: ErrNewerFormat, 1: nil, 2: nil} {
		seen := 0
		log, err := Open(t.Context(), d, Config{Interval: time.Hour, Format: format, Snapshot: o.snapshot, Logger: zap.NewNop()},
			func(f uint32, _ []byte) error { seen++; require.Equal(t, uint32(1), f); return nil })
		require.ErrorIs(t, err, want)
		if want != nil {
			require.Equal(t, before, d.data)
			continue
		}
		require.Equal(t, 1, seen)
		d.failAfter(0)
		_ = log.Close(t.Context())
		d.failAfter(-1)
	}
}

func TestDamagedChunksAreLeftOut(t *testing.T) {
	for _, damage := range []struct {
		what string
		do   func(d *disk, key string)
	}{
		{"a byte changed", func(d *disk, key string) { d.data[key][len(d.data[key])-1] ^= 1 }},
		{"cut short", func(d *disk, key string) { d.data[key] = d.data[key][:3] }},
	} {
		t.Run(damage.what, func(t *testing.T) {
			d := newDisk()
			o := openOwner(t, d, time.Hour)
			o.set("a", "1")
			require.NoError(t, o.log.Sync(t.Context()))
			o.set("b", "2")
			require.NoError(t, o.log.Sync(t.Context()))
			require.NoError(t, o.log.Close(t.Context()))
			damage.do(d, journalKey(0, 0))
			for range 2 { // the second time nothing is damaged any more
				again := openOwner(t, d, time.Hour)
				require.Equal(t, map[string]string{"b": "2"}, again.state)
				require.NoError(t, again.log.Close(t.Context()))
			}
			require.NotContains(t, d.data, journalKey(0, 0))
		})
	}
}

func TestDamagedHeadIsRefused(t *testing.T) {
	d := newDisk()
	o := openOwner(t, d, time.Hour)
	o.set("a", "1")
	require.NoError(t, o.log.Reset(t.Context()))
	require.NoError(t, o.log.Close(t.Context()))
	d.data[headKey] = []byte("{")
	_, err := Open(t.Context(), d, Config{Interval: time.Hour, Format: 1, Logger: zap.NewNop()}, o.apply)
	require.ErrorIs(t, err, ErrDamaged)
}

// The same on the storage that the agent uses.
func TestFileStorage(t *testing.T) {
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = t.TempDir()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, ext.Shutdown(context.Background())) }()
	for life := range 3 {
		client, err := ext.(storage.Extension).GetClient(t.Context(), component.KindProcessor, component.MustNewID("test"), "")
		require.NoError(t, err)
		o := openOwner(t, client, time.Millisecond)
		require.Len(t, o.state, life*1000)
		for i := range 1000 {
			o.set(fmt.Sprintf("%d.%d", life, i), strings.Repeat("x", 5000))
		}
		require.NoError(t, o.log.Close(t.Context()))
		require.NoError(t, client.Close(t.Context()))
	}
}

func FuzzOpenChunk(f *testing.F) {
	var c chunks
	c.add([]byte("a=1"))
	f.Add(c.list[0].seal(1))
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, sealed []byte) {
		_ = open(sealed, 1, func(uint32, []byte) error { return nil })
		_ = open(append(newChunk(), sealed...).seal(1), 1, func(uint32, []byte) error { return nil })
	})
}
