package dedup

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func TestBackupBringsSuppressionBackAndNoWeight(t *testing.T) {
	rule := dedupRule(time.Minute, emitFirstAndSummary)
	storage := newMemory() // with its secret, without its state
	r := newRig(t, stored(rule), &sink{}, testHost{storageID: storage}, someTime)
	r.send(events(5, "e", "k"))
	var image bytes.Buffer
	_, err := keysTable{r.dedupProcessor}.Backup(t.Context(), &image)
	require.NoError(t, err)
	r.pass(30 * time.Second)
	secret := r.secret
	require.NoError(t, r.Shutdown(t.Context()))

	next := &sink{}
	r = newRig(t, config(rule), next, nil, r.now())
	_, err = keysTable{r.dedupProcessor}.Restore(t.Context(), bytes.NewReader(image.Bytes()))
	require.ErrorIs(t, err, errOtherSecret)
	r.secret = secret
	apply, err := keysTable{r.dedupProcessor}.Restore(t.Context(), bytes.NewReader(image.Bytes()))
	require.NoError(t, err)
	keys, _ := r.table.size()
	require.Zero(t, keys, "nothing changes before apply")
	n, err := apply()
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	r.plans.New = func() any { return newPlan(secret, len(r.table.rules)) }
	r.send(events(2, "e", "k"))
	require.Empty(t, next.all(), "the first has left before the backup")
	r.pass(time.Minute)
	require.Equal(t, 2.0, next.weight())
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

func TestControlShowsTheTable(t *testing.T) {
	cfg, control := config(dedupRule(time.Minute, emitFirst)), &registrar{}
	cfg.Control = &controlID
	r := newRig(t, cfg, &sink{}, testHost{controlID: control}, someTime)
	require.Equal(t, []int{1, 1}, []int{control.tables, control.checks})
	require.Equal(t, r.set.ID.String()+"/keys", keysTable{r.dedupProcessor}.Name())
	require.NoError(t, r.Shutdown(t.Context()))
	require.Equal(t, []int{0, 0}, []int{control.tables, control.checks})
}
