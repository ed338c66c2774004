// Package journal keeps a component's state in a storage client as a snapshot and a journal, both
// in sequential chunks, so that a change costs an append to memory and the disk sees one write an
// interval, however many records changed.
//
// Stored are a head (which snapshot is whole), the chunks of that snapshot, and the chunks of the
// journals begun since. A new snapshot is written beside the old one; the head then moves to it and
// the old chunks go, in one batch. A crash at any moment leaves one whole snapshot and its journals.
package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// ErrNewerFormat is returned by Open for what a newer version of the agent has stored.
var ErrNewerFormat = errors.New("stored in a newer format")

// ErrDamaged is returned by Open where it cannot be read what is stored. Damage to a part is no error.
var ErrDamaged = errors.New("stored state is damaged")

var errClosed = errors.New("journal is closed")

const (
	// A chunk is full once it is this long. bbolt rewrites up to three neighbours with a value, so that small ones
	// cost less.
	chunkBytes    = 64 << 10
	batchBytes    = 1 << 20  // of a snapshot that are written at once
	maxPending    = 64 << 20 // bytes that may wait for a storage that fails; beyond, a snapshot replaces them
	minJournal    = 4 << 20  // a journal shorter than this is never worth a snapshot
	shutdownGrace = 10 * time.Second
)

// Config of a Log.
type Config struct {
	// Interval between writes: what was appended longer ago survives kill -9.
	Interval time.Duration
	// Format is the version of the records. A store of a newer format is refused and left alone; one of
	// Format-1 is read (records are passed to apply with their format) and rewritten.
	Format uint32
	// Snapshot calls emit for each record of the present state. It runs beside Append: a change made
	// meanwhile is in the journal that follows, so records must say what is (upsert, delete), never a
	// difference. emit may wait for the disk and call Collect: hold no lock across it.
	Snapshot func(emit func(record []byte) error) error
	// Collect, where set, is called before each write and appends what has changed since the last one:
	// for owners that would rather mark a key dirty than append at every change.
	Collect func(append func(record []byte))
	// Live, where set, returns about how many bytes of records a snapshot would have now. With it a state that
	// grows is not written again for having grown. Without it the last snapshot's size is taken.
	Live   func() int64
	Logger *zap.Logger
}

// Log is the state's snapshot and journal. Safe for concurrent use.
type Log struct {
	cfg    Config
	client storage.Client
	writer writer

	mu      sync.Mutex
	pending chunks // appended, not yet handed to the writer
	lost    bool   // pending was dropped: only a snapshot makes the store right again
	err     error  // of the last write

	syncs   chan chan error // callers waiting for the journal to be written
	resets  chan chan error // callers waiting for a snapshot
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

// Open reads what is stored, calling apply for each record in the order it was written (the record is
// valid during the call), and starts writing. Chunks that are damaged are left out, with an error in the
// log, and a snapshot then replaces what was stored. An error of apply, a damaged head or a newer format
// is returned, and nothing stored is changed.
func Open(ctx context.Context, client storage.Client, cfg Config, apply func(format uint32, record []byte) error) (*Log, error) {
	w, err := restore(ctx, client, cfg.Format, apply)
	if err != nil {
		return nil, err
	}
	if len(w.damaged) > 0 {
		cfg.Logger.Error("Stored state is damaged: chunks that cannot be read are left out, the rest is restored",
			zap.Strings("chunks", w.damaged))
	}
	l := &Log{
		cfg:     cfg,
		client:  client,
		writer:  w,
		syncs:   make(chan chan error),
		resets:  make(chan chan error),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	go l.run()
	return l, nil
}

// Append adds records to the next write, all of them or none. It copies them and never waits for the disk.
func (l *Log) Append(records ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.pending.add(r)
	}
	if l.pending.bytes > maxPending {
		l.pending, l.lost = chunks{}, true
	}
}

// Sync writes what was appended before the call, now.
func (l *Log) Sync(ctx context.Context) error { return l.ask(ctx, l.syncs) }

// Reset replaces all that is stored by a new snapshot (after a restore, or when state was dropped).
func (l *Log) Reset(ctx context.Context) error { return l.ask(ctx, l.resets) }

func (l *Log) ask(ctx context.Context, asks chan<- chan error) error {
	answer := make(chan error, 1)
	select {
	case asks <- answer:
	case <-l.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Err is the error of the last write, nil after one that worked: "not durable now".
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close writes what was appended and stops. The storage client stays the caller's to close.
func (l *Log) Close(ctx context.Context) error {
	l.once.Do(func() { close(l.closing) })
	select {
	case <-l.done:
	case <-ctx.Done():
		return fmt.Errorf("journal: last write: %w", ctx.Err())
	}
	return l.Err()
}
