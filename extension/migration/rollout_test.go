package migration

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
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/store"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

var errCrash = errors.New("the process has ended")

// disk is a storage client that ends the process after some writes: what comes later is not written.
type disk struct {
	mu     sync.Mutex
	data   map[string][]byte
	writes int // left before the crash; negative: any number
	stuck  chan struct{}
}

func newDisk() *disk { return &disk{data: map[string][]byte{}, writes: -1} }

// write runs do unless the process has ended.
func (d *disk) write(do func()) error {
	if d.stuck != nil {
		<-d.stuck
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writes == 0 {
		return errCrash
	}
	d.writes--
	do()
	return nil
}

func (d *disk) Get(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.data[key], nil
}

func (d *disk) Set(_ context.Context, key string, value []byte) error {
	return d.write(func() { d.data[key] = value })
}

func (d *disk) Delete(_ context.Context, key string) error {
	return d.write(func() { delete(d.data, key) })
}

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	return d.write(func() {
		for _, op := range ops {
			if op.Type == storage.Delete {
				delete(d.data, op.Key)
			} else {
				d.data[op.Key] = op.Value
			}
		}
	})
}

func (*disk) Close(context.Context) error { return nil }

// switchboard is a flag.Switch that stores each change on the disk as one value, after memory, as the
// feature_flags extension does.
type switchboard struct {
	disk *disk

	mu    sync.Mutex
	flags map[string]bool
}

const flagsKey = "flags of the test"

func newSwitchboard(d *disk, s stages) *switchboard {
	b := &switchboard{disk: d, flags: map[string]bool{}}
	for _, name := range s.flags(0, len(s)) {
		b.flags[name] = false
	}
	for _, name := range d.data[flagsKey] {
		b.flags[string(name)] = true
	}
	return b
}

func (b *switchboard) change(changes map[string]bool) bool {
	b.mu.Lock()
	maps.Copy(b.flags, changes)
	b.mu.Unlock()
	return b.disk.write(func() { // what is written is the latest, in whichever order the writers come
		b.disk.data[flagsKey] = nil
		for name, value := range b.States() {
			if value {
				b.disk.data[flagsKey] = append(b.disk.data[flagsKey], name[0]) // names are one letter
			}
		}
	}) == nil
}

func (b *switchboard) SetAll(changes map[string]bool, _ flag.Author) (bool, error) {
	return b.change(changes), nil
}

func (b *switchboard) EmergencyRollback(flag.Author) bool {
	off := map[string]bool{}
	for name := range b.States() {
		off[name] = false
	}
	return b.change(off)
}

func (b *switchboard) States() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.flags)
}

func (b *switchboard) Bound() []string { return []string{} }

func (b *switchboard) Bind(string) (flag.Handle, error) { return flag.On, nil }

type listener struct {
	mu   sync.Mutex
	told []operator.MigrationEntry
}

func (l *listener) tell(e operator.MigrationEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, e)
}

var lettered = stages{
	{ID: "1", Flags: []string{"a"}},
	{ID: "2", Flags: []string{"b", "c"}},
	{ID: "3", Flags: []string{"d", "e", "f"}},
}

// life is one run of the process on a disk.
type life struct {
	*rollout
	flags *switchboard
	store *store.Store
}

func begin(t require.TestingT, d *disk) life {
	s := store.New(d)
	st, err := loadState(context.Background(), s)
	require.NoError(t, err)
	h, err := loadHistory(context.Background(), s, st, 100)
	require.NoError(t, err)
	flags := newSwitchboard(d, lettered)
	r := newRollout(lettered, flags, s, st, h, &listener{}, time.Now)
	require.NoError(t, r.recoverState(context.Background()))
	return life{rollout: r, flags: flags, store: s}
}

func (l life) end() { _ = l.store.Close(context.Background()) }

// whole asserts that every stage is wholly on or off, and that the stage says which.
func (l life) whole(t require.TestingT) {
	require.Empty(t, l.stages.drift(l.position(), l.flags.States()), "stage %s, flags %v", l.snapshot().Stage, l.flags.States())
	require.Nil(t, l.snapshot().Pending)
}

var someone = flag.Author{Name: "someone", Reason: "test"}

func (l life) do(action string, to int) error {
	ctx, done, err := l.take(context.Background(), action)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case action == "advance" && l.position() < len(l.stages):
		_, err = l.advance(ctx, someone, false, nil)
	case action == "rollback" && to < l.position():
		_, err = l.rollback(ctx, to, someone, "", nil)
	}
	return err
}

// A crash at any write of any change leaves every stage wholly on or off, and the next life agrees.
func TestCrashAtAnyWrite(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDisk()
		for range rapid.IntRange(1, 5).Draw(rt, "lives") {
			d.writes = -1
			l := begin(rt, d)
			l.whole(rt)
			d.mu.Lock()
			d.writes = rapid.IntRange(0, 12).Draw(rt, "writes")
			d.mu.Unlock()
			for range rapid.IntRange(1, 4).Draw(rt, "changes") {
				switch action := rapid.SampledFrom([]string{"advance", "rollback", "emergency"}).Draw(rt, "action"); action {
				case "emergency":
					change, err := l.emergency(context.Background(), someone, "")
					require.NoError(rt, err)
					require.True(rt, change.Verified)
				default:
					_ = l.do(action, rapid.IntRange(0, 2).Draw(rt, "to"))
				}
				l.whole(rt)
			}
			d.mu.Lock()
			d.writes = 0 // what is still in memory is lost
			d.mu.Unlock()
			l.end()
		}
		d.writes = -1
		l := begin(rt, d)
		l.whole(rt)
		l.end()
	})
}

// What was acknowledged as stored is there in the next life.
func TestAcknowledgedSurvives(t *testing.T) {
	d := newDisk()
	l := begin(t, d)
	require.NoError(t, l.do("advance", 0))
	require.NoError(t, l.do("advance", 0))
	d.writes = 0
	l.end()
	d.writes = -1
	l = begin(t, d)
	defer l.end()
	assert.Equal(t, "2", l.snapshot().Stage)
	l.whole(t)
	assert.Len(t, l.entries(time.Time{}, time.Now().Add(time.Hour)), 2)
}

func TestEmergencyWithDeadStorage(t *testing.T) {
	d := newDisk()
	l := begin(t, d)
	require.NoError(t, l.do("advance", 0))
	require.NoError(t, l.do("advance", 0))
	d.mu.Lock()
	d.writes = 0
	d.mu.Unlock()
	begun := time.Now()
	change, err := l.emergency(context.Background(), someone, "approved by nobody")
	require.NoError(t, err)
	assert.Less(t, time.Since(begun), time.Second)
	assert.True(t, change.Verified)
	assert.False(t, change.Persisted)
	assert.Equal(t, noStage, l.snapshot().Stage)
	l.end()
}

func TestEmergencyWithHungStorage(t *testing.T) {
	d := newDisk()
	l := begin(t, d)
	require.NoError(t, l.do("advance", 0))
	d.stuck = make(chan struct{})
	advanced := make(chan error, 1)
	go func() { advanced <- l.do("advance", 0) }() // hangs in the storage with its turn taken
	require.Eventually(t, func() bool { return l.underWay() != "" }, time.Second, time.Millisecond)
	begun := time.Now()
	change, err := l.emergency(context.Background(), someone, "")
	require.NoError(t, err)
	assert.Less(t, time.Since(begun), time.Second)
	assert.True(t, change.Verified)
	assert.False(t, change.Persisted)
	close(d.stuck)
	require.Error(t, <-advanced)
	l.whole(t)
	assert.Equal(t, noStage, l.snapshot().Stage)
	l.end()
}

func TestOneTransitionAtATime(t *testing.T) {
	l := begin(t, newDisk())
	defer l.end()
	_, done, err := l.take(context.Background(), "a rehearsal")
	require.NoError(t, err)
	require.ErrorContains(t, l.do("advance", 0), "a rehearsal is under way")
	done()
	require.NoError(t, l.do("advance", 0))
}

func TestFlagsFoundOff(t *testing.T) {
	d := newDisk()
	l := begin(t, d)
	require.NoError(t, l.do("advance", 0))
	l.flags.EmergencyRollback(someone)
	l.reconcile(context.Background())
	assert.Equal(t, noStage, l.snapshot().Stage)
	assert.Equal(t, kindFoundOff, l.lastEntry().Kind)
	assert.False(t, l.snapshot().LastRollback.IsZero())
	l.end()
}

// refusing is a Switch that refuses every change but the emergency's.
type refusing struct{ *switchboard }

func (refusing) SetAll(map[string]bool, flag.Author) (bool, error) {
	return false, errors.New("refused")
}
