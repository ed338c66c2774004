package journal

import (
	"context"
	"encoding/json"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// writer is where the store stands. Only the log's goroutine touches it.
type writer struct {
	epoch         uint64   // of the journal now written
	next          int      // number of its next chunk
	stored        []string // every key but the head: what a new snapshot replaces
	unwritten     chunks   // taken from pending, not yet stored
	journalBytes  int      // since the last snapshot
	snapshotBytes int
	older         bool     // something stored is of an older format: rewrite it
	broken        bool     // the last snapshot failed or records were lost: write one
	damaged       []string // chunks that could not be read back
}

// run is the only goroutine that writes.
func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(l.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = l.write(context.Background()) // told by Err and the log
		case answer := <-l.syncs:
			answer <- l.write(context.Background())
		case answer := <-l.resets:
			answer <- l.note(l.snapshot(context.Background()))
		case <-l.closing:
			ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
			defer cancel()
			_ = l.write(ctx)
			return
		}
	}
}

// write stores what has been appended, and a snapshot where the journal has outgrown the last one.
func (l *Log) write(ctx context.Context) error {
	err := l.writeJournal(ctx)
	w := &l.writer
	if err == nil && (w.broken || w.older || l.outgrown()) {
		err = l.snapshot(ctx)
	}
	return l.note(err)
}

// outgrown reports whether more than half of what is stored is history.
func (l *Log) outgrown() bool {
	w := &l.writer
	live := w.snapshotBytes
	if l.cfg.Live != nil {
		live = int(l.cfg.Live())
	}
	return w.journalBytes > minJournal && w.snapshotBytes+w.journalBytes > 2*live
}

// writeJournal stores what has been appended as the next chunks, in one batch.
func (l *Log) writeJournal(ctx context.Context) error {
	l.take()
	w := &l.writer
	if w.unwritten.bytes == 0 {
		return nil
	}
	err := l.store(ctx, &w.unwritten, func(n int) string { return journalKey(w.epoch, w.next+n) })
	if err != nil {
		return err
	}
	w.next += len(w.unwritten.list)
	w.journalBytes += w.unwritten.bytes
	w.unwritten = chunks{}
	return nil
}

// store writes chunks in one batch, each under its key.
func (l *Log) store(ctx context.Context, c *chunks, key func(n int) string) error {
	ops := make([]*storage.Operation, len(c.list))
	for n, one := range c.list {
		ops[n] = storage.SetOperation(key(n), one.seal(l.cfg.Format))
	}
	if err := l.client.Batch(ctx, ops...); err != nil {
		return err
	}
	for _, op := range ops {
		l.writer.stored = append(l.writer.stored, op.Key)
	}
	return nil
}

// take moves what has been appended to the writer. What failed to be written stays in front of it.
func (l *Log) take() {
	if l.cfg.Collect != nil {
		l.cfg.Collect(func(record []byte) { l.Append(record) })
	}
	w := &l.writer
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost || w.unwritten.bytes+l.pending.bytes > maxPending {
		w.unwritten, w.broken = chunks{}, true
		l.pending, l.lost = chunks{}, false
	}
	w.unwritten.join(&l.pending)
}

// snapshot writes the present state beside what is stored, then makes it the stored one. The journal
// goes on meanwhile, in a new epoch that belongs to both.
func (l *Log) snapshot(ctx context.Context) error {
	if err := l.writeJournal(ctx); err != nil {
		return err
	}
	w := &l.writer
	replaced := len(w.stored)
	if err := l.beginEpoch(ctx); err != nil {
		return err
	}
	w.broken = true // until the head has moved
	s := snapshotWriter{log: l, ctx: ctx, epoch: w.epoch, wrote: time.Now()}
	if err := l.cfg.Snapshot(s.emit); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	raw, err := json.Marshal(head{Layout: layout, Epoch: s.epoch, Chunks: s.written})
	if err != nil {
		return err
	}
	ops := make([]*storage.Operation, 0, 1+replaced)
	ops = append(ops, storage.SetOperation(headKey, raw))
	for _, key := range w.stored[:replaced] {
		ops = append(ops, storage.DeleteOperation(key))
	}
	if err := l.client.Batch(ctx, ops...); err != nil {
		return err
	}
	w.stored = append([]string(nil), w.stored[replaced:]...)
	w.snapshotBytes, w.journalBytes = s.bytes, 0
	w.broken, w.older = false, false
	return nil
}

// beginEpoch begins the next journal with an empty chunk, by which a restore finds the epoch even if
// nothing else of it is written before a crash.
func (l *Log) beginEpoch(ctx context.Context) error {
	w := &l.writer
	key := journalKey(w.epoch+1, 0)
	if err := l.client.Set(ctx, key, newChunk().seal(l.cfg.Format)); err != nil {
		return err
	}
	w.stored = append(w.stored, key)
	w.epoch, w.next = w.epoch+1, 1
	return nil
}

// note keeps the outcome of a write for Err, and logs when it changes.
func (l *Log) note(err error) error {
	l.mu.Lock()
	before := l.err
	l.err = err
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.cfg.Logger.Warn("State is not durable: cannot write to storage; it is kept in memory and tried again", zap.Error(err))
	case err == nil && before != nil:
		l.cfg.Logger.Info("State is durable again")
	}
	return err
}

// snapshotWriter cuts the present state into chunks and stores them, with the journal's between.
type snapshotWriter struct {
	log       *Log
	ctx       context.Context
	epoch     uint64
	unwritten chunks
	written   int // chunks
	bytes     int
	wrote     time.Time // the journal, last
}

func (s *snapshotWriter) emit(record []byte) error {
	s.unwritten.add(record)
	if s.unwritten.bytes < batchBytes {
		return nil
	}
	return s.flush()
}

func (s *snapshotWriter) flush() error {
	if s.unwritten.bytes == 0 {
		return nil
	}
	err := s.log.store(s.ctx, &s.unwritten, func(n int) string { return snapshotKey(s.epoch, s.written+n) })
	if err != nil {
		return err
	}
	s.written += len(s.unwritten.list)
	s.bytes += s.unwritten.bytes
	s.unwritten = chunks{}
	return s.meanwhile()
}

// meanwhile keeps the journal's promise while a snapshot is long: a write an interval, syncs answered.
func (s *snapshotWriter) meanwhile() error {
	select {
	case answer := <-s.log.syncs:
		err := s.log.writeJournal(s.ctx)
		answer <- err
		return err
	default:
	}
	if time.Since(s.wrote) < s.log.cfg.Interval {
		return nil
	}
	s.wrote = time.Now()
	return s.log.writeJournal(s.ctx)
}
