// Package journal keeps a component's state in a storage client as a snapshot and a journal, both
// in sequential chunks, so that a change costs an append to memory and the disk sees one write an interval.
package journal

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// Config of a Log.
type Config struct {
	// Interval between writes: what was appended longer ago survives kill -9.
	Interval time.Duration
	// Format is the version of the records. A store of a newer format is refused and left alone; one of
	// Format-1 is read (records are passed to Apply with their format).
	Format uint32
	// Snapshot calls emit for each record of the present state. It runs beside Append: a change made
	// meanwhile is in the journal that follows, so records must say what is (upsert, delete), never a difference.
	Snapshot func(emit func(record []byte) error) error
	// Collect, where set, is called before each write and appends what has changed since the last one:
	// for owners that would rather mark a key dirty than append at every change.
	Collect func(append func(record []byte))
	Logger  *zap.Logger
}

// Log is the state's snapshot and journal. Safe for concurrent use.
type Log struct{}

// Open reads what is stored, calling apply for each record in the order it was written (the record is
// valid during the call), and starts writing. An error of apply, a damaged chunk or a newer format is
// returned, and nothing stored is changed.
func Open(ctx context.Context, client storage.Client, cfg Config, apply func(format uint32, record []byte) error) (*Log, error) {
	panic("being written")
}

// Append adds records to the next write, all of them or none. It copies them and never waits for the disk.
func (l *Log) Append(records ...[]byte) { panic("being written") }

// Sync writes what was appended before the call, now.
func (l *Log) Sync(ctx context.Context) error { panic("being written") }

// Reset replaces all that is stored by a new snapshot (after a restore, or when state was dropped).
func (l *Log) Reset(ctx context.Context) error { panic("being written") }

// Err is the error of the last write, nil after one that worked: "not durable now".
func (l *Log) Err() error { panic("being written") }

// Close writes what was appended and stops. The storage client stays the caller's to close.
func (l *Log) Close(ctx context.Context) error { panic("being written") }
