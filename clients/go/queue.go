package foundation

import (
	"bytes"
	"sync"
)

// queue holds NDJSON lines, in order, bounded by their bytes. Emitting appends to one buffer while the
// sender works on another, so that an event costs a copy and no allocation.
type queue struct {
	limit int           // bytes, of both buffers
	full  int           // bytes that make a batch
	ready chan struct{} // holds a token when the first line comes, and when a batch is full

	mu      sync.Mutex
	lines   []byte // each ends with a newline
	sending int    // bytes that the sender has taken and not given back
	spare   []byte
	dropped uint64
	closed  bool
}

func newQueue(limit, batch int) *queue {
	return &queue{limit: limit, full: batch, ready: make(chan struct{}, 1)}
}

// put adds a line, or drops and counts it.
func (q *queue) put(line []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		q.dropped++
		return ErrClosed
	case len(q.lines)+q.sending+len(line) > q.limit:
		q.dropped++
		return ErrQueueFull
	}
	before := len(q.lines)
	q.lines = append(q.lines, line...)
	if before == 0 || before < q.full && len(q.lines) >= q.full {
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
	return nil
}

// isFull says whether a batch's worth waits.
func (q *queue) isFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) >= q.full
}

// take hands all lines to the sender, which gives back what it has sent.
func (q *queue) take() (lines []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, q.lines, q.spare = q.lines, q.spare[:0], nil
	q.sending = len(lines)
	return lines
}

// gaveBack says that n of the bytes taken are done with.
func (q *queue) gaveBack(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending -= n
}

// recycle takes a buffer for later, once all of it is done with.
func (q *queue) recycle(buffer []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = buffer
}

func (q *queue) drops() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// lost counts lines that were taken and could not be sent.
func (q *queue) lost(lines int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(lines)
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// head is as many whole lines as fit into limit bytes, one at least.
func head(lines []byte, limit int) []byte {
	if len(lines) <= limit {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:limit], '\n'); end >= 0 {
		return lines[:end+1]
	}
	return lines[:bytes.IndexByte(lines, '\n')+1]
}

// after is what follows the first n lines.
func after(lines []byte, n int) []byte {
	for range n {
		end := bytes.IndexByte(lines, '\n')
		if end < 0 {
			return nil
		}
		lines = lines[end+1:]
	}
	return lines
}
