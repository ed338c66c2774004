package openspans

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

var storageID = component.MustNewID("file_storage")

// onDisk starts a real file_storage in dir, and gives it and more to a host.
func onDisk(t testing.TB, dir string, more map[component.ID]component.Component) (h testHost, stop func()) {
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	ext, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	h = testHost{map[component.ID]component.Component{storageID: ext}}
	for id, c := range more {
		h.extensions[id] = c
	}
	return h, func() { require.NoError(t, ext.Shutdown(context.Background())) }
}

func stored(c *Config) { c.Storage = &storageID }

// A table comes back with its spans, stacks, contexts and ends.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	h, stop := onDisk(t, dir, nil)
	f := startOn(t, h, stored)
	root := f.mustStart(agentA, "root")
	require.NoError(t, f.PushContext(agentA, mapOf("operation", "validation")))
	_, err := f.StartSpan(agentA, startHalf("child", func(s ptrace.Span) { s.Attributes().PutStr("error_context.own", "1") }))
	require.NoError(t, err)
	ended := f.mustStart(spans.Sender{Agent: "b"}, "ended")
	f.mustEnd(spans.Sender{Agent: "b"})
	f.left(1)
	require.NoError(t, f.Adopt(spans.Sender{Agent: "c"}, spans.Propagation{TraceID: traceID(9), SpanID: spanID(9), Context: pcommon.NewMap()}))
	waiting, err := f.EndSpan(spans.Sender{}, endHalf(func(s ptrace.Span) { s.SetTraceID(traceID(5)); s.SetSpanID(spanID(5)) }))
	require.NoError(t, err)
	require.True(t, waiting.Waiting)
	require.NoError(t, f.journal.Sync(context.Background()))
	f.stop()
	stop()

	h, stop = onDisk(t, dir, nil)
	defer stop()
	f = startOn(t, h, stored)
	defer f.stop()
	assert.Positive(t, f.stats.restoreNs.Load())
	values, err := f.Context(agentA)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"operation": "validation", "own": "1"}, values.AsRaw())
	got, err := f.StartSpan(spans.Sender{Agent: "c"}, startHalf("adopted", nil))
	require.NoError(t, err)
	assert.Equal(t, spanID(9), got.ParentID)
	_, err = f.StartSpan(spans.Sender{Agent: "b"}, startHalf("ghost", func(s ptrace.Span) { s.SetTraceID(ended.TraceID); s.SetSpanID(ended.SpanID) }))
	if err != nil { // remembered, unless its start was never stored
		require.ErrorIs(t, err, spans.ErrEnded)
	}
	f.mustEnd(agentA)
	f.mustEnd(agentA)
	left := f.left(2)
	assert.Equal(t, "child", left[0].Name())
	assert.Equal(t, root.SpanID, left[0].ParentSpanID())
	assert.Equal(t, "root", left[1].Name())
}

// Deadlines and deaths that happened while the agent was down are applied at the start.
func TestRestartAppliesWhatHappenedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	id := component.MustNewID("agent_registry")
	registry := &fakeRegistry{}
	configure := func(c *Config) { stored(c); c.Registry = &id; c.Timeout = time.Second }
	h, stop := onDisk(t, dir, map[component.ID]component.Component{id: registry})
	f := startOn(t, h, configure)
	f.mustStart(agentA, "root")
	f.mustStart(agentA, "child")
	f.mustStart(spans.Sender{Agent: "slow"}, "slow")
	f.stop()
	stop()

	registry.lately = []agents.Down{{AgentID: "a", Reason: agents.ReasonExited, At: time.Now()}}
	time.Sleep(time.Second)
	h, stop = onDisk(t, dir, map[component.ID]component.Component{id: registry})
	defer stop()
	f = startOn(t, h, configure)
	defer f.stop()
	reasons := map[string]string{}
	for _, s := range f.left(3) {
		r, _ := s.Attributes().Get("foundation.span.end_reason")
		reasons[s.Name()] = r.Str()
	}
	// Death came first to be told or the timeout to be noticed: either is true of a's spans.
	assert.Contains(t, []string{"agent_down", "timeout"}, reasons["root"])
	assert.Equal(t, "timeout", reasons["slow"])
}

func TestWithoutStorageEverythingLeavesAtShutdown(t *testing.T) {
	f := startOn(t, componenttest.NewNopHost(), nil)
	f.mustStart(agentA, "root")
	f.mustStart(agentA, "child")
	f.stop()
	got := f.left(2)
	assert.Equal(t, "child", got[0].Name())
	assertForced(t, got[1], "agent_shutdown")
}

func TestBackupAndRestore(t *testing.T) {
	f := start(t, nil)
	root := f.mustStart(agentA, "root")
	f.mustStart(agentA, "child")
	other := f.mustStart(spans.Sender{Agent: "b"}, "other")
	table := f.OperatorTables()[0].(operator.Backuper)
	var image bytes.Buffer
	_, err := table.Backup(t.Context(), &image)
	require.NoError(t, err)
	whole := image.Bytes()
	f.mustEnd(spans.Sender{Agent: "b"})
	f.left(1)

	restoration, err := table.Restore(t.Context(), bytes.NewReader(whole))
	require.NoError(t, err)
	n, err := restoration.Apply()
	require.NoError(t, err)
	assert.Zero(t, n, "what is open stays, what has ended stays ended")

	g := start(t, nil)
	restoration, err = g.OperatorTables()[0].(operator.Backuper).Restore(t.Context(), bytes.NewReader(whole))
	require.NoError(t, err)
	_, err = restoration.Apply()
	require.NoError(t, err)
	require.NoError(t, restoration.Undo())
	held, _ := g.amounts()
	assert.Zero(t, held)
	assert.Empty(t, g.agents)
	n, err = restoration.Apply()
	require.NoError(t, err)
	assert.EqualValues(t, 3, n)
	g.mustEnd(agentA)
	assert.Equal(t, root.SpanID, g.mustEnd(agentA).SpanID)
	assert.Equal(t, other.SpanID, g.mustEnd(spans.Sender{Agent: "b"}).SpanID)

	for _, damaged := range [][]byte{nil, whole[:len(whole)-3], []byte("something else entirely"), append(append([]byte{}, whole...), 3, 'e', 1, 2)} {
		_, err := table.Restore(t.Context(), bytes.NewReader(damaged))
		assert.Error(t, err)
	}
	rebuilt, err := f.OperatorTables()[0].(operator.Rebuilder).Rebuild(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 2, rebuilt)
	f.mustEnd(agentA)
}

// What changes while a backup is written is in it as it is at the end: the first record that is emitted finds the
// rest of the table changed.
func TestBackupHasWhatChangesMeanwhile(t *testing.T) {
	f := start(t, nil)
	in := func(process string) spans.Sender { return spans.Sender{Agent: "a", Process: process} }
	for i := range 3 * stepItems { // several steps
		f.mustStart(in(fmt.Sprint(i)), "filler")
	}
	require.NoError(t, f.PushContext(in("idle"), mapOf("k", "idle")))
	require.NoError(t, f.PushContext(in("cleared"), mapOf("k", "cleared")))
	f.mustStart(in("ends"), "ends")
	require.NoError(t, f.PushContext(in("forgotten"), mapOf("k", "of before")))
	change := sync.OnceFunc(func() {
		f.mustStart(in("idle"), "late") // no longer idle when those are listed
		require.NoError(t, f.ClearContext(in("cleared")))
		f.mustEnd(in("ends"))
		require.NoError(t, f.ClearContext(in("forgotten")))
		require.NoError(t, f.PushContext(in("forgotten"), mapOf("k", "of after")))
	})
	im := newImage()
	_, err := f.table.backup(func(record []byte) error {
		change()
		return im.read(record)
	})
	require.NoError(t, err)
	require.Nil(t, f.sinceBackup)

	g := start(t, nil)
	g.table.apply(im)
	for process, want := range map[string]map[string]any{
		"idle": {"k": "idle"}, "cleared": {}, "forgotten": {"k": "of after"},
	} {
		got, err := g.Context(in(process))
		require.NoError(t, err)
		assert.Equal(t, want, got.AsRaw(), process)
	}
	assert.Equal(t, "late", g.list(map[string][]string{"process": {"idle"}}, 1).Spans[0].Name)
	_, err = g.EndSpan(in("ends"), endHalf(nil))
	require.ErrorIs(t, err, spans.ErrNothingOpen)
	held, _ := g.amounts()
	assert.Equal(t, 3*stepItems+1, held.spans)
}

// The pause of a backup is bounded by a step, not by the table.
func TestBackupWhileRunning(t *testing.T) {
	f := start(t, nil)
	const open = 50_000
	for i := range open {
		_, err := f.StartSpan(spans.Sender{Agent: "a", Process: fmt.Sprint(i % 1000)}, startHalf("s", nil))
		require.NoError(t, err)
	}
	done := make(chan error, 1)
	var image bytes.Buffer
	go func() {
		_, err := f.OperatorTables()[0].(operator.Backuper).Backup(context.Background(), &image)
		done <- err
	}()
	ended := 0
	for running := true; running; {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
			f.mustEnd(spans.Sender{Agent: "a", Process: fmt.Sprint(ended % 1000)})
			ended++
		}
	}
	g := start(t, nil)
	restoration, err := g.OperatorTables()[0].(operator.Backuper).Restore(t.Context(), &image)
	require.NoError(t, err)
	n, err := restoration.Apply()
	require.NoError(t, err)
	assert.LessOrEqual(t, n, int64(open))
	assert.GreaterOrEqual(t, n, int64(open-ended))
}

func TestSelfCheck(t *testing.T) {
	f := start(t, nil)
	result := f.OperatorChecks()[0].Run(t.Context())
	assert.True(t, result.OK, "%+v", result)
	assert.Zero(t, f.stats.starts.Load())
	held, _ := f.amounts()
	assert.Zero(t, held.spans)
	f.mustStart(agentA, "after")
	f.mustEnd(agentA)
	f.left(1)
}

func TestListAndDescribe(t *testing.T) {
	f := start(t, nil)
	f.mustStart(agentA, "root")
	f.mustStart(agentA, "child")
	f.mustStart(spans.Sender{Agent: "b"}, "other")
	require.NoError(t, f.PushContext(agentA, mapOf("k", "v")))
	all := f.list(nil, 2)
	assert.Equal(t, 3, all.Total)
	require.Len(t, all.Spans, 2)
	assert.Equal(t, "root", all.Spans[0].Name)
	only := f.list(map[string][]string{"agent_id": {"b"}}, 10)
	require.Len(t, only.Spans, 1)
	d := f.describe(agentA)
	assert.Equal(t, map[string]any{"k": "v"}, d.Merged)
	require.Len(t, d.Stack, 2)
	assert.Equal(t, 2, d.Stack[1].Depth)
}

func mapOf(pairs ...string) pcommon.Map {
	m := pcommon.NewMap()
	for i := 0; i < len(pairs); i += 2 {
		m.PutStr(pairs[i], pairs[i+1])
	}
	return m
}

// FuzzBackup holds that no file makes a restore panic, and that what it takes can be stored again.
func FuzzBackup(f *testing.F) {
	seed := newTable(createDefaultConfig().(*Config), zap.NewNop(), newClock())
	h := readHalf(startHalf("s", func(s ptrace.Span) { s.Attributes().PutStr("error_context.k", "v") }).Span)
	h.shape = shapeKeyOf(startHalf("s", nil))
	_, err := seed.start(agentA, &h)
	require.NoError(f, err)
	require.NoError(f, seed.push(seed.find(agentA), mapOf("error_context.x", "y")))
	var whole []byte
	require.NoError(f, seed.snapshot(func(record []byte) error {
		whole = append(binary.AppendUvarint(whole, uint64(len(record))), record...)
		return nil
	}))
	f.Add(whole)
	f.Add([]byte{2, 'x', 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := readBackup(t.Context(), bufio.NewReader(bytes.NewReader(append([]byte(backupHeader), data...))))
		if err != nil {
			return
		}
		table := newTable(createDefaultConfig().(*Config), zap.NewNop(), newClock())
		table.apply(im)
		again := newImage()
		require.NoError(t, table.snapshot(again.read))
		_, _ = buildTraces(table.batch())
		table.expire(table.clock.now())
	})
}
