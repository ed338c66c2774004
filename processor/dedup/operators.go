// This file is what operators may do with the table through the control extension, and the self-check.

package dedup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// keysTable shows the table of keys.
type keysTable struct{ p *dedupProcessor }

var (
	_ operator.Table     = keysTable{}
	_ operator.Backuper  = keysTable{}
	_ operator.Rebuilder = keysTable{}
	_ operator.Cleaner   = keysTable{}
	_ operator.Ensurer   = keysTable{}
)

func (t keysTable) Name() string             { return t.p.set.ID.String() + "/keys" }
func (t keysTable) Info() operator.TableInfo { return t.p.info() }

// backupMagic begins a backup: what it is, and the version of its records.
const backupMagic = "event_dedup backup 1\n"

const maxBackupRecord = 64 << 20

var errNoBackup = errors.New("this is no backup of event_dedup, or it is damaged")

// Backup writes the records of a snapshot, each after its length, and the CRC-32 (IEEE) of all.
func (t keysTable) Backup(ctx context.Context, w io.Writer) error {
	sum := crc32.NewIEEE()
	out := bufio.NewWriter(io.MultiWriter(w, sum))
	if _, err := out.WriteString(backupMagic); err != nil {
		return err
	}
	var length []byte
	err := (&state{p: t.p}).snapshot(func(record []byte) error {
		length = binary.AppendUvarint(length[:0], uint64(len(record)))
		if _, err := out.Write(length); err != nil {
			return err
		}
		if _, err := out.Write(record); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := out.WriteByte(0); err != nil { // no record is empty: the end
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// Restore reads a backup whole. apply puts back the keys whose window is still open and that are not there now.
func (t keysTable) Restore(ctx context.Context, r io.Reader) (func() (int64, error), error) {
	keys, err := readBackup(ctx, t.p, r)
	if err != nil {
		return nil, err
	}
	return func() (int64, error) {
		restored := t.p.table.suppress(keys, t.p.now())
		if t.p.state == nil {
			return restored, nil
		}
		return restored, t.p.state.log.Sync(ctx)
	}, nil
}

func readBackup(ctx context.Context, p *dedupProcessor, r io.Reader) ([]storedEntry, error) {
	in := &summedReader{r: bufio.NewReader(r), sum: crc32.NewIEEE()}
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic {
		return nil, errNoBackup
	}
	// Tenants of a backup are not taken in: only keys come back, which hold nothing.
	restored := newRestorer(&dedupProcessor{cfg: p.cfg, rules: p.rules, table: p.table, now: p.now, secret: p.secret,
		tenants: newTenants(p.cfg.MetadataKeys, int(p.cfg.MetadataCardinalityLimit))})
	for {
		n, err := binary.ReadUvarint(in)
		if err != nil || n > maxBackupRecord {
			return nil, errNoBackup
		}
		if n == 0 {
			break
		}
		record, err := io.ReadAll(io.LimitReader(in, int64(n))) // grows with what is there, not with what is claimed
		if err != nil || uint64(len(record)) != n {
			return nil, errNoBackup
		}
		if err := restored.apply(stateFormat, record); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoBackup, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	want := in.sum.Sum32()
	var sum [4]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil || binary.LittleEndian.Uint32(sum[:]) != want {
		return nil, errNoBackup
	}
	return restored.suppression()
}

// summedReader keeps the CRC-32 of what was read.
type summedReader struct {
	r   *bufio.Reader
	sum interface {
		io.Writer
		Sum32() uint32
	}
}

func (s *summedReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	_, _ = s.sum.Write(b[:n]) // a hash does not fail
	return n, err
}

func (s *summedReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		_, _ = s.sum.Write([]byte{b})
	}
	return b, err
}

// suppress adds keys that are not there.
func (t *table) suppress(keys []storedEntry, now int64) (added int64) {
	for _, stored := range keys {
		s := t.shardOf(stored.entry.key)
		s.mu.Lock()
		known := s.index.find(stored.entry.key, s.slab) != 0 || s.index.used >= t.maxKeys
		s.mu.Unlock()
		if !known {
			t.restore(stored, now)
			added++
		}
	}
	return added
}

// Rebuild makes the indices anew from the entries.
func (t keysTable) Rebuild(context.Context) (int64, error) {
	var entries int64
	for _, s := range t.p.table.shards {
		s.mu.Lock()
		s.rebuild()
		entries += int64(s.index.used)
		s.mu.Unlock()
	}
	return entries, nil
}

func (s *shard) rebuild() {
	s.index = newIndex()
	s.wheel = wheel{slab: s.slab, current: s.wheel.current}
	s.each(func(slot uint32, e *entry) {
		s.index.insert(e.key, slot)
		if e.bucket = noBucket; e.length > 0 {
			s.wheel.add(slot, e.end())
		}
	})
}

// Cleanup ends the windows that are due, at once.
func (t keysTable) Cleanup(context.Context) (int64, error) {
	before, _ := t.p.table.size()
	now := t.p.now()
	for _, s := range t.p.table.shards {
		s.mu.Lock()
		s.each(func(slot uint32, e *entry) {
			if e.length > 0 && e.end() <= now {
				s.expire(slot, now)
			}
		})
		s.mu.Unlock()
	}
	after, _ := t.p.table.size()
	return max(0, before-after), nil
}

// Ensure has nothing to make: the table is there as long as the processor is. It writes the stored image anew.
func (t keysTable) Ensure(ctx context.Context) error {
	if t.p.state == nil {
		return nil
	}
	return t.p.state.log.Reset(ctx)
}

// selfCheck does the processor's own work, in a processor of its own with the same hash and table.
type selfCheck struct{ p *dedupProcessor }

func (c selfCheck) Name() string { return c.p.set.ID.String() }

const (
	checkEvents = 1000
	checkWindow = 40 * time.Millisecond
	checkBudget = 50 * time.Millisecond // for the events; the window is waited for besides
)

// Run sends equal synthetic events through a processor that nothing leaves, and looks whether the account holds.
func (c selfCheck) Run(ctx context.Context) operator.CheckResult {
	sink := make(chan plog.Logs, checkEvents)
	next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error { sink <- ld; return nil })
	if err != nil {
		return failedCheck("make", err)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxKeys = keysPerShard
	cfg.Rules = []Rule{{Name: "check", Dedup: &DedupConfig{Window: checkWindow, Emit: emitFirstAndSummary}}}
	set := processor.Settings{ID: c.p.set.ID, TelemetrySettings: component.TelemetrySettings{
		Logger: zap.NewNop(), MeterProvider: metricnoop.NewMeterProvider(), TracerProvider: tracenoop.NewTracerProvider(), Resource: pcommon.NewResource(),
	}}
	p, err := newProcessor(set, cfg, next)
	if err != nil {
		return failedCheck("make", err)
	}
	if err := p.Start(ctx, nil); err != nil {
		return failedCheck("start", err)
	}
	began := time.Now()
	err = p.ConsumeLogs(ctx, syntheticEvents())
	steps := []operator.CheckStep{{Name: "suppress", OK: err == nil, Took: time.Since(began), Budget: checkBudget}}
	began = time.Now()
	weight := 0.0
	timeout := time.After(10 * checkWindow)
	for waiting := true; waiting && weight < checkEvents; {
		select {
		case ld := <-sink:
			weight += weightOf(ld)
		case <-timeout:
			waiting = false
		}
	}
	err = p.Shutdown(ctx)
	steps = append(steps, operator.CheckStep{Name: "summary", OK: err == nil && weight == checkEvents, Took: time.Since(began),
		Budget: 10 * checkWindow, Detail: fmt.Sprintf("%v of %d events accounted for", weight, checkEvents)})
	steps = append(steps, c.durable())
	ok := true
	for _, s := range steps {
		ok = ok && s.OK
	}
	return operator.CheckResult{OK: ok, Steps: steps}
}

// durable looks whether state reaches the storage.
func (c selfCheck) durable() operator.CheckStep {
	step := operator.CheckStep{Name: "storage", OK: true, Detail: "none configured"}
	if c.p.state != nil {
		step.Detail = "written"
		if err := c.p.state.log.Err(); err != nil {
			step.OK, step.Detail = false, err.Error()
		}
	}
	return step
}

func failedCheck(step string, err error) operator.CheckResult {
	return operator.CheckResult{Steps: []operator.CheckStep{{Name: step, Detail: err.Error()}}}
}

func syntheticEvents() plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range checkEvents {
		lr := records.AppendEmpty()
		lr.SetEventName("foundation.dedup.check")
		lr.Attributes().PutBool(attr.Synthetic, true)
	}
	return ld
}

// weightOf sums the weights of records.
func weightOf(ld plog.Logs) (sum float64) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				weight := 1.0
				if v, ok := lr.Attributes().Get(attr.AdjustedCount); ok {
					weight, _ = number(v)
				}
				sum += weight
			}
		}
	}
	return sum
}
