// This file is what operators may do with the table: look at it, back it up and restore it, mend it.

package openspans

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// operatorTable is the table as operators see it.
type operatorTable struct{ *openSpans }

var (
	_ operator.Backuper  = operatorTable{}
	_ operator.Rebuilder = operatorTable{}
	_ operator.Cleaner   = operatorTable{}
	_ operator.Ensurer   = operatorTable{}
	_ operator.Previewer = operatorTable{}
)

// OperatorTables are the extension's tables.
func (o *openSpans) OperatorTables() []operator.Table { return []operator.Table{operatorTable{o}} }

// Name is the extension's id and what the table holds.
func (o operatorTable) Name() string { return o.set.ID.String() + "/spans" }

// Info describes the table now.
func (o operatorTable) Info() operator.TableInfo {
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	info := operator.TableInfo{
		Entries:    int64(t.held.spans),
		Bytes:      t.held.bytes + t.out.bytes + t.contextBytes,
		MaxEntries: int64(o.cfg.MaxSpans),
		MaxBytes:   t.maxBytes(),
		Persisted:  o.journal != nil && o.journal.Err() == nil,
		Detail: map[string]any{
			"leaving":  t.out.spans,
			"ended":    t.ended.len,
			"agents":   len(t.agents),
			"contexts": t.contexts,
		},
	}
	if o.journal != nil && o.journal.Err() != nil {
		info.Detail["not_durable"] = o.journal.Err().Error()
	}
	return info
}

// backupHeader begins a backup; the records of record.go follow, each after its length as a varint.
const backupHeader = "open_spans 1\n"

// maxRecord bounds one record of a backup.
const maxRecord = 64 << 20

var errBackupRuns = errors.New("a backup of this table is being written; try again when it is done")

// Backup writes the table as it is when the last span has been written: those written earlier that have
// changed meanwhile follow once more. The lock is held for a step at a time; the longest is returned.
func (o operatorTable) Backup(ctx context.Context, w io.Writer) (longestPause time.Duration, err error) {
	out := bufio.NewWriter(w)
	if _, err := out.WriteString(backupHeader); err != nil {
		return 0, err
	}
	size := make([]byte, binary.MaxVarintLen64)
	write := func(record []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := out.Write(binary.AppendUvarint(size[:0], uint64(len(record)))); err != nil {
			return err
		}
		_, err := out.Write(record)
		return err
	}
	if longestPause, err = o.table.backup(write); err != nil {
		return 0, err
	}
	return longestPause, out.Flush()
}

// changedSince is what has changed since it was emitted to a backup.
type changedSince struct {
	entries   map[*entry]struct{}
	processes map[*process]struct{}
}

func newChangedSince() *changedSince {
	return &changedSince{entries: map[*entry]struct{}{}, processes: map[*process]struct{}{}}
}

// backup emits a snapshot, and then what has changed since each of its records was emitted.
func (t *table) backup(emit func([]byte) error) (longestPause time.Duration, err error) {
	w := newRecords(t, emit)
	runs := false
	w.pauses.Hold(&t.mu, func() {
		if runs = t.sinceBackup != nil; !runs {
			t.sinceBackup = newChangedSince()
		}
	})
	if runs {
		return 0, errBackupRuns
	}
	w.all()
	for whole := false; !whole && w.failed == nil; {
		whole = w.catchUp()
	}
	if w.failed != nil {
		t.mu.Lock()
		t.sinceBackup = nil
		t.mu.Unlock()
	}
	return w.pauses.Longest(), w.failed
}

// catchUp emits what has changed up to now. It reports whether that went in one step: what was emitted is
// then the table as it was at that moment. It comes to that, for steps are faster than changes, each of which
// is a call.
func (w *records) catchUp() (whole bool) {
	t := w.table
	var many *changedSince
	w.pauses.Hold(&t.mu, func() {
		since := t.sinceBackup
		if len(since.entries)+len(since.processes) > stepItems {
			many, t.sinceBackup = since, newChangedSince()
			return
		}
		if whole = w.drain(since); whole {
			w.downs()
			t.sinceBackup = nil
		}
	})
	w.flush()
	if many != nil {
		entries, processes := slices.Collect(maps.Keys(many.entries)), slices.Collect(maps.Keys(many.processes))
		w.each(len(entries), func(i int) { w.changed(entries[i]) })
		w.each(len(processes), func(i int) { w.present(processes[i]) })
	}
	return whole
}

// drain adds changes while they fit, and reports whether they all did.
func (w *records) drain(since *changedSince) bool {
	for e := range since.entries {
		if w.full() {
			return false
		}
		delete(since.entries, e)
		w.changed(e)
	}
	for p := range since.processes {
		if w.full() {
			return false
		}
		delete(since.processes, p)
		w.present(p)
	}
	return true
}

// changed adds an entry that has changed, and the contexts of its process, which may not have been among the
// idle ones when those were listed.
func (w *records) changed(e *entry) {
	w.change(e)
	w.contexts(e.process)
}

// present adds the contexts that the process of that name has now.
func (w *records) present(p *process) {
	if now := w.table.find(spans.Sender{Agent: p.agent.id, Process: p.name}); now != nil {
		p = now
	}
	w.process(p)
}

// Restore reads a backup. Applying it adds the spans that the table does not know; those that are open stay
// as they are, and those that have ended stay ended.
func (o operatorTable) Restore(ctx context.Context, r io.Reader) (operator.Restoration, error) {
	im, err := readBackup(ctx, bufio.NewReader(r))
	if err != nil {
		return operator.Restoration{}, err
	}
	var a added
	return operator.Restoration{
		Apply: func() (int64, error) {
			a = o.table.apply(im)
			return int64(len(a.entries)), o.Ensure(ctx) // a new snapshot has what came back
		},
		Undo: func() error {
			o.table.withdraw(a)
			return o.Ensure(ctx)
		},
	}, nil
}

func readBackup(ctx context.Context, in *bufio.Reader) (*image, error) {
	header := make([]byte, len(backupHeader))
	if _, err := io.ReadFull(in, header); err != nil || string(header) != backupHeader {
		return nil, fmt.Errorf("not a backup of open spans in format %q", backupHeader[:len(backupHeader)-1])
	}
	im := newImage()
	for ctx.Err() == nil {
		size, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return im, nil
		}
		if err != nil || size > maxRecord {
			return nil, fmt.Errorf("%w: length %d: %w", errRecord, size, err)
		}
		record := make([]byte, size)
		if _, err := io.ReadFull(in, record); err != nil {
			return nil, fmt.Errorf("%w: cut off: %w", errRecord, err)
		}
		if err := im.read(record); err != nil {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// Rebuild makes the index by ids anew from the entries and the remembered ends.
func (o operatorTable) Rebuild(context.Context) (entries int64, err error) {
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.index.rebuild()
	for _, at := range t.index.places {
		if at.entry != nil {
			entries++
		}
	}
	return entries, nil
}

// Cleanup applies at once the deadlines that have passed, and forgets old ends.
func (o operatorTable) Cleanup(context.Context) (removed int64, err error) {
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.held.spans + t.ended.len
	t.expire(t.clock.now())
	return int64(before - t.held.spans - t.ended.len), nil
}

// Ensure writes the whole table to storage anew, for storage that has lost it.
func (o operatorTable) Ensure(ctx context.Context) error {
	if o.journal == nil {
		return nil // the table itself cannot be missing
	}
	return o.journal.Reset(ctx)
}
