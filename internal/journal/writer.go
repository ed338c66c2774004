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
	unwritten     chunk    // taken from pending, not yet stored
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
	if err == nil && (w.broken || w.older || w.journalBytes > max(minJournal, w.snapshotBytes)) {
		err = l.snapshot(ctx)
	}
	return l.note(err)
}

// writeJournal stores what has been appended as the next chunks, in one batch.
func (l *Log) writeJournal(ctx context.Context) error {
	l.take()
	w := &l.writer
	parts := w.unwritten.split()
	if len(parts) == 0 {
		return nil
	}
	ops := make([]*storage.Operation, len(parts))
	for i, part := range parts {
		ops[i] = storage.SetOperation(journalKey(w.epoch, w.next+i), part.seal(l.cfg.Format))
	}
	if err := l.client.Batch(ctx, ops...); err != nil {
		return err
	}
	for _, op := range ops {
		w.stored = append(w.stored, op.Key)
	}
	w.next += len(parts)
	w.journalBytes += len(w.unwritten)
	w.unwritten = w.unwritten.reuse()
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
	if l.lost || len(w.unwritten)+len(l.pending) > maxPending {
		w.unwritten, w.broken = w.unwritten[:0], true
		l.pending, l.lost = l.pending[:0], false
	}
	if len(w.unwritten) == 0 { // the two buffers change places
		w.unwritten, l.pending = l.pending, w.unwritten
		return
	}
	w.unwritten = append(w.unwritten, l.pending...)
	l.pending = l.pending[:0]
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
	raw, err := json.Marshal(head{Layout: layout, Epoch: s.epoch, Chunks: s.chunks})
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
	if err := l.client.Set(ctx, key, chunk(nil).seal(l.cfg.Format)); err != nil {
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
	log    *Log
	ctx    context.Context
	epoch  uint64
	chunk  chunk
	chunks int
	bytes  int
	wrote  time.Time // the journal, last
}

func (s *snapshotWriter) emit(record []byte) error {
	s.chunk.add(record)
	if len(s.chunk) < chunkBytes {
		return nil
	}
	return s.flush()
}

func (s *snapshotWriter) flush() error {
	if len(s.chunk) == 0 {
		return nil
	}
	key := snapshotKey(s.epoch, s.chunks)
	if err := s.log.client.Set(s.ctx, key, s.chunk.seal(s.log.cfg.Format)); err != nil {
		return err
	}
	s.log.writer.stored = append(s.log.writer.stored, key)
	s.chunks++
	s.bytes += len(s.chunk)
	s.chunk = s.chunk[:0]
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
