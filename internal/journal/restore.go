package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// layout is the version of the keys and chunks, apart from the records' own format.
const layout = 1

const headKey = "head"

// head says which snapshot is whole. Small and rarely written, so it is JSON.
type head struct {
	Layout int    `json:"layout"`
	Epoch  uint64 `json:"epoch"`  // of the snapshot, and of the first journal after it
	Chunks int    `json:"chunks"` // of the snapshot
}

// Keys sort as they were written: an ordered storage appends, and does not open what it has closed.
func snapshotKey(epoch uint64, n int) string { return fmt.Sprintf("s/%016x/%08x", epoch, n) }
func journalKey(epoch uint64, n int) string  { return fmt.Sprintf("j/%016x/%08x", epoch, n) }

// restore applies the whole snapshot and the journals after it, and returns the writer that goes on from there.
// A chunk that is damaged is left out: the rest of the state is worth more than a component that does not start.
func restore(ctx context.Context, client storage.Client, format uint32, apply func(uint32, []byte) error) (writer, error) {
	h, err := readHead(ctx, client)
	if err != nil {
		return writer{}, err
	}
	w := writer{epoch: h.Epoch}
	read := func(key string, bytes *int) (bool, error) {
		sealed, err := client.Get(ctx, key)
		if err != nil {
			return false, fmt.Errorf("read %s: %w", key, err)
		}
		if sealed == nil {
			return false, nil
		}
		err = open(sealed, format, func(f uint32, record []byte) error {
			w.older = w.older || f < format
			return apply(f, record)
		})
		w.stored = append(w.stored, key)
		if errors.Is(err, ErrDamaged) {
			w.damaged = append(w.damaged, key)
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", key, err)
		}
		*bytes += len(sealed) - chunkHeader
		return true, nil
	}
	for n := range h.Chunks {
		found, err := read(snapshotKey(h.Epoch, n), &w.snapshotBytes)
		if err != nil {
			return writer{}, err
		}
		if !found {
			w.damaged = append(w.damaged, snapshotKey(h.Epoch, n))
		}
	}
	// Each snapshot that was begun, whole or not, began a journal with a marker chunk.
	for epoch := h.Epoch; ; epoch++ {
		n := 0
		for {
			found, err := read(journalKey(epoch, n), &w.journalBytes)
			if err != nil {
				return writer{}, err
			}
			if !found {
				break
			}
			n++
		}
		if n == 0 && epoch > h.Epoch {
			break
		}
		w.epoch, w.next = epoch, n
		if epoch > h.Epoch {
			abandoned, err := abandonedChunks(ctx, client, epoch)
			if err != nil {
				return writer{}, err
			}
			w.stored = append(w.stored, abandoned...)
		}
	}
	w.broken = len(w.damaged) > 0
	return w, nil
}

// abandonedChunks lists the chunks of a snapshot that a crash cut short.
func abandonedChunks(ctx context.Context, client storage.Client, epoch uint64) ([]string, error) {
	var keys []string
	for n := 0; ; n++ {
		key := snapshotKey(epoch, n)
		sealed, err := client.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		if sealed == nil {
			return keys, nil
		}
		keys = append(keys, key)
	}
}

func readHead(ctx context.Context, client storage.Client) (head, error) {
	raw, err := client.Get(ctx, headKey)
	if err != nil {
		return head{}, fmt.Errorf("read head: %w", err)
	}
	if raw == nil {
		return head{Layout: layout}, nil
	}
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return head{}, fmt.Errorf("%w: head: %w", ErrDamaged, err)
	}
	if h.Layout > layout {
		return head{}, fmt.Errorf("%w: layout %d, this agent reads %d", ErrNewerFormat, h.Layout, layout)
	}
	return h, nil
}
