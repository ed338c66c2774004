package dedup

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// backedUp is a processor's backup after five events of one key, and the time half a window later.
func backedUp(t *testing.T, secret configopaque.String) (image []byte, now int64) {
	cfg := stored(dedupRule(time.Minute, emitFirstAndSummary))
	cfg.KeySecret = secret
	r := newRig(t, cfg, &sink{}, testHost{storageID: newMemory()}, someTime)
	r.send(events(5, "e", "k"))
	var file bytes.Buffer
	_, err := keysTable{r.dedupProcessor}.Backup(t.Context(), &file)
	require.NoError(t, err)
	r.pass(30 * time.Second)
	require.NoError(t, r.Shutdown(t.Context()))
	return file.Bytes(), r.now()
}

func restoration(t *testing.T, r *rig, image []byte) operator.Restoration {
	restoration, err := keysTable{r.dedupProcessor}.Restore(t.Context(), bytes.NewReader(image))
	require.NoError(t, err)
	return restoration
}

func TestBackupBringsSuppressionBackAndNoWeight(t *testing.T) {
	image, now := backedUp(t, "the same")
	cfg := config(dedupRule(time.Minute, emitFirstAndSummary))
	cfg.KeySecret = "the same"
	next := &sink{}
	r := newRig(t, cfg, next, nil, now)
	restoration := restoration(t, r, image)
	keys, _ := r.table.size()
	require.Zero(t, keys, "nothing changes before it is applied")
	n, err := restoration.Apply()
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	n, err = restoration.Apply()
	require.NoError(t, err)
	require.Zero(t, n, "what is there stays")
	r.send(events(2, "e", "k"))
	require.Empty(t, next.all(), "the first has left before the backup")
	r.pass(time.Minute)
	require.Equal(t, 2.0, next.weight())
}

func TestBackupOfAnotherConfiguredSecretIsRefused(t *testing.T) {
	image, now := backedUp(t, "theirs")
	cfg := config(dedupRule(time.Minute, emitFirstAndSummary))
	cfg.KeySecret = "ours"
	_, err := keysTable{newRig(t, cfg, &sink{}, nil, now).dedupProcessor}.Restore(t.Context(), bytes.NewReader(image))
	require.ErrorIs(t, err, errOtherSecret)
}

// A fresh agent has made up a secret of its own: the backup's takes its place, and what is held is not lost.
func TestBackupBringsItsSecret(t *testing.T) {
	image, now := backedUp(t, "")
	storage := newMemory()
	next := &sink{}
	r := newRig(t, stored(dedupRule(time.Minute, emitFirstAndSummary)), next, testHost{storageID: storage}, now)
	r.send(events(3, "e", "other"))
	require.Len(t, next.all(), 1)
	n, err := restoration(t, r, image).Apply()
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	r.send(events(2, "e", "k"))
	require.Len(t, next.all(), 1, "a duplicate of what left before the backup")
	r.send(events(1, "e", "other"))
	require.Len(t, next.all(), 2, "it is new under that secret")
	require.NoError(t, r.Shutdown(t.Context()))

	r = newRig(t, stored(dedupRule(time.Minute, emitFirstAndSummary)), next, testHost{storageID: storage}, r.now())
	r.send(events(1, "e", "k"))
	r.send(events(1, "e", "other"))
	require.Len(t, next.all(), 2, "the secret is stored")
	r.pass(3 * time.Minute)
	require.Equal(t, 8.0, next.weight(), "3 + 2 + 1, and 2 after the restart")
	require.NoError(t, r.Shutdown(t.Context()))
}

// The secret changes under senders: whichever of the two a batch was hashed under, its weight leaves once.
func TestAccountStaysStraightWhileTheSecretChanges(t *testing.T) {
	image, now := backedUp(t, "")
	next := &sink{}
	r := newRig(t, config(dedupRule(time.Minute, emitFirstAndSummary)), next, nil, now)
	restoration := restoration(t, r, image)
	const senders, batches = 4, 200
	var running sync.WaitGroup
	for sender := range senders {
		running.Go(func() {
			for range batches {
				assert.NoError(t, r.ConsumeLogs(t.Context(), events(5, "e", []string{"k", "other"}[sender%2])))
			}
		})
	}
	for range 20 {
		_, err := restoration.Apply()
		require.NoError(t, err)
		require.NoError(t, restoration.Undo())
	}
	running.Wait()
	r.pass(3 * time.Minute)
	require.Equal(t, float64(senders*batches*5), next.weight())
}

func TestRestoreIsUndone(t *testing.T) {
	image, now := backedUp(t, "")
	next := &sink{}
	r := newRig(t, config(dedupRule(time.Minute, emitFirstAndSummary)), next, nil, now)
	r.send(events(3, "e", "other"))
	restoration := restoration(t, r, image)
	_, err := restoration.Apply()
	require.NoError(t, err)
	r.send(events(2, "e", "k"))
	require.NoError(t, restoration.Undo())
	keys, _ := r.table.size()
	require.Equal(t, int64(1), keys)
	r.send(events(1, "e", "other"))
	require.Len(t, next.all(), 1, "the key and the secret of before hold")
	r.send(events(1, "e", "k"))
	require.Len(t, next.all(), 2, "it is new again")
	r.pass(3 * time.Minute)
	require.Equal(t, 7.0, next.weight(), "what the restored key had counted has left")
}

func TestDamagedBackupsAreRefused(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Minute, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(events(5, "e", "k"))
	var image bytes.Buffer
	_, err := keysTable{r.dedupProcessor}.Backup(t.Context(), &image)
	require.NoError(t, err)
	for i := range image.Len() {
		damaged := bytes.Clone(image.Bytes())
		damaged[i] ^= 0x55
		_, err := keysTable{r.dedupProcessor}.Restore(t.Context(), bytes.NewReader(damaged))
		require.Error(t, err, "byte %d", i)
		_, err = keysTable{r.dedupProcessor}.Restore(t.Context(), bytes.NewReader(image.Bytes()[:i]))
		require.Error(t, err, "cut at %d", i)
	}
}

func FuzzReadBackup(f *testing.F) {
	r := newRig(f, config(dedupRule(time.Minute, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(events(5, "e", "k"))
	var image bytes.Buffer
	_, err := keysTable{r.dedupProcessor}.Backup(context.Background(), &image)
	require.NoError(f, err)
	f.Add(image.Bytes())
	f.Add([]byte(backupMagic))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = readBackup(context.Background(), r.dedupProcessor, bytes.NewReader(data))
	})
}

// FuzzApply reads records as the journal hands them out.
func FuzzApply(f *testing.F) {
	r := newRig(f, config(dedupRule(time.Minute, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(events(5, "e", "k"))
	r.pass(time.Hour)
	r.send(events(5, "e", "l"))
	require.NoError(f, (&state{p: r.dedupProcessor}).snapshot(func(record []byte) error {
		f.Add(bytes.Clone(record))
		return nil
	}))
	f.Fuzz(func(_ *testing.T, record []byte) {
		_ = newRestorer(r.dedupProcessor).apply(stateFormat, record)
	})
}

func TestRebuildAndCleanup(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Minute, emitFirstAndSummary)), &sink{}, nil, someTime)
	r.send(events(5, "e", "k"))
	r.send(events(5, "e", "l"))
	table := keysTable{r.dedupProcessor}
	n, err := table.Rebuild(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	r.send(events(1, "e", "k"))
	require.Len(t, r.sink.all(), 2, "still suppressed")
	require.NoError(t, table.Ensure(t.Context()))
	removed, err := table.Cleanup(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)
	r.time.Add(int64(3 * time.Minute))
	removed, err = table.Cleanup(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), removed)
	r.step()
	require.Equal(t, 11.0, r.sink.weight())
}

func TestSelfCheck(t *testing.T) {
	r := newRig(t, config(dedupRule(time.Minute, emitFirstAndSummary)), &sink{}, nil, someTime)
	result := selfCheck{r.dedupProcessor}.Run(t.Context())
	require.True(t, result.OK, "%+v", result)
	require.Empty(t, r.sink.all(), "nothing synthetic leaves")
}

// registrar is the control extension as components see it.
type registrar struct {
	component.StartFunc
	component.ShutdownFunc
	tables, checks int
}

func (r *registrar) RegisterTable(operator.Table) func() { r.tables++; return func() { r.tables-- } }
func (r *registrar) RegisterCheck(operator.Check) func() { r.checks++; return func() { r.checks-- } }

func (r *registrar) RegisterTap(*operator.Tap) func() { return func() {} }

func (r *registrar) RegisterPreviewer(operator.Previewer) func() { return func() {} }

func TestControlShowsTheTable(t *testing.T) {
	cfg, control := config(dedupRule(time.Minute, emitFirst)), &registrar{}
	cfg.Control = &controlID
	r := newRig(t, cfg, &sink{}, testHost{controlID: control}, someTime)
	require.Equal(t, []int{1, 1}, []int{control.tables, control.checks})
	require.Equal(t, r.set.ID.String()+"/keys", keysTable{r.dedupProcessor}.Name())
	require.NoError(t, r.Shutdown(t.Context()))
	require.Equal(t, []int{0, 0}, []int{control.tables, control.checks})
}
