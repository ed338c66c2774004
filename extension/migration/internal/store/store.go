// Package store writes small state to a storage client without ever waiting longer for it than the
// caller wants: a disk that hangs must not stop a rollback.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// retryEvery is the pause after a write that failed.
const retryEvery = time.Second

// ErrClosed is returned for what is put after Close.
var ErrClosed = errors.New("the store is closed")

// Store keeps the last value put of each key until the client has it. What is put together is written in
// one transaction. Safe for concurrent use.
type Store struct {
	client storage.Client

	mu      sync.Mutex
	dirty   map[string][]byte // nil values are deletions
	put     uint64            // number of the last Put
	done    uint64            // all up to this Put are written
	lastErr error             // of the last attempt, nil after one that worked
	tried   uint64            // the last attempt was for all up to this Put
	changed chan struct{}     // closed and renewed after each attempt
	closing bool

	wake chan struct{}
	gone chan struct{} // closed when the writer has returned
}

// New returns a store over client, which stays the caller's to close, after Close.
func New(client storage.Client) *Store {
	s := &Store{
		client:  client,
		dirty:   map[string][]byte{},
		changed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
	}
	go s.writeAll()
	return s
}

// Get reads a key. It is meant for the start: it goes straight to the client.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	return s.client.Get(ctx, key)
}

// Put takes values (nil deletes), to be written together, and returns a ticket to wait for. It never blocks.
func (s *Store) Put(values map[string][]byte) (ticket uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.dirty, values)
	s.put++
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.put
}

// Wait returns nil once what the ticket stands for is written, or the error of the latest attempt, or
// ctx's: the store goes on trying in both cases.
func (s *Store) Wait(ctx context.Context, ticket uint64) error {
	for {
		s.mu.Lock()
		done, tried, err, changed := s.done >= ticket, s.tried >= ticket, s.lastErr, s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		if tried {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("storage does not answer: %w", ctx.Err())
		case <-s.gone:
			return ErrClosed
		case <-changed:
		}
	}
}

// Write puts and waits.
func (s *Store) Write(ctx context.Context, values map[string][]byte) error {
	return s.Wait(ctx, s.Put(values))
}

// Err is why what was put is not yet written, nil when all of it is.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

// Close writes what is left, and waits for it as long as ctx allows.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	ticket := s.put
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case <-s.gone:
	case <-ctx.Done():
	}
	if err := s.Wait(ctx, ticket); err != nil {
		return fmt.Errorf("not all could be stored: %w", err)
	}
	return nil
}

// writeAll is the writer: one transaction at a time, everything that is dirty in each.
func (s *Store) writeAll() {
	defer close(s.gone)
	for {
		values, upTo, closing := s.take()
		var err error
		if len(values) > 0 {
			err = s.write(values)
			s.finish(values, upTo, err)
		}
		switch {
		case closing:
			return // whatever came of it: the last attempt has been made
		case err != nil:
			select {
			case <-time.After(retryEvery):
			case <-s.wake:
			}
		case len(values) == 0:
			<-s.wake
		}
	}
}

func (s *Store) take() (values map[string][]byte, upTo uint64, closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values, s.dirty = s.dirty, map[string][]byte{}
	return values, s.put, s.closing
}

func (s *Store) write(values map[string][]byte) error {
	ops := make([]*storage.Operation, 0, len(values))
	for key, value := range values {
		if value == nil {
			ops = append(ops, storage.DeleteOperation(key))
		} else {
			ops = append(ops, storage.SetOperation(key, value))
		}
	}
	return s.client.Batch(context.Background(), ops...)
}

func (s *Store) finish(values map[string][]byte, upTo uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr, s.tried = err, upTo
	if err == nil {
		s.done = upTo
	} else {
		for key, value := range values {
			if _, newer := s.dirty[key]; !newer {
				s.dirty[key] = value
			}
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}
