package foundation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Stats says what became of the events so far. Emitted = Accepted + Rejected + Dropped + those that wait.
type Stats struct {
	Emitted  uint64 // calls of Emit whose event could be encoded
	Accepted uint64 // taken by the agent
	Rejected uint64 // refused by the agent for good; the log says why
	Dropped  uint64 // for want of room, or lost when the client closed; reported to the agent
}

// Stats returns what became of the events so far.
func (c *Client) Stats() Stats {
	s := c.events
	return Stats{s.emitted.Load(), s.accepted.Load(), s.rejected.Load(), s.queue.drops()}
}

// Flush waits until what was emitted before the call is done with, or ctx ends.
func (c *Client) Flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case c.events.flush <- done:
	case <-c.events.ended:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-c.events.ended:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxRequest bounds a request: well below what an agent takes by default (4 MiB).
const maxRequest = 1 << 20

// dropsEvent reports how many events were dropped.
const dropsEvent = "foundation.client.dropped"

// sender sends what is queued, in order, in one goroutine: a batch when it is full or old enough, again
// and again until the agent has taken it.
type sender struct {
	client *Client
	queue  *queue
	logger *slog.Logger

	flush  chan chan struct{}
	stop   context.CancelFunc // ends retrying
	finish chan struct{}      // closed: send what there is, and end
	ended  chan struct{}

	emitted, accepted, rejected atomic.Uint64
	reported                    uint64 // drops that the agent was told of
	lost                        int    // events that were queued when the client closed, and could not be sent
}

func startSender(c *Client) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sender{
		client: c,
		queue:  newQueue(c.cfg.queueBytes, c.cfg.batchBytes),
		logger: c.cfg.logger,
		flush:  make(chan chan struct{}),
		stop:   cancel,
		finish: make(chan struct{}),
		ended:  make(chan struct{}),
	}
	go s.run(ctx)
	return s
}

func (s *sender) put(line []byte) error {
	s.emitted.Add(1)
	return s.queue.put(line)
}

// close sends what there is until ctx ends. The error says what was lost.
func (s *sender) close(ctx context.Context) error {
	s.queue.close()
	close(s.finish)
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
	s.stop()
	<-s.ended
	if s.lost > 0 {
		return fmt.Errorf("foundation: %d events could not be sent before the client closed: %w", s.lost, ctx.Err())
	}
	return nil
}

func (s *sender) run(ctx context.Context) {
	defer close(s.ended)
	for {
		var flushed chan struct{}
		select {
		case <-s.queue.ready:
			flushed = s.fill()
		case flushed = <-s.flush:
		case <-s.finish:
		}
		s.deliver(ctx)
		if flushed != nil {
			close(flushed)
		}
		select {
		case <-s.finish:
			s.deliver(ctx) // what came while the last was sent
			return
		default:
		}
	}
}

// fill waits until a batch is full or old enough, or somebody asks for it.
func (s *sender) fill() (flushed chan struct{}) {
	if s.queue.isFull() {
		return nil
	}
	timer := time.NewTimer(s.client.cfg.batchDelay)
	defer timer.Stop()
	for {
		select {
		case <-s.queue.ready:
			if s.queue.isFull() {
				return nil
			}
		case <-timer.C:
			return nil
		case flushed = <-s.flush:
			return flushed
		case <-s.finish:
			return nil
		}
	}
}

// deliver sends all that is queued now, until the agent has taken it or ctx ends.
func (s *sender) deliver(ctx context.Context) {
	batch := s.queue.take()
	rest := batch
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, 5*time.Second
	size := maxRequest
	for len(rest) > 0 {
		request := head(rest, size)
		lines, err := s.send(ctx, request)
		done := len(rest) - len(after(rest, lines))
		rest = rest[done:]
		s.queue.gaveBack(done)
		var refused *Error
		switch {
		case err == nil:
			wait.Reset()
			size = maxRequest
			continue
		case ctx.Err() != nil:
			s.lose(rest)
			return
		case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge && bytes.Count(request, newline) > 1:
			size = len(request) / 2
			continue
		case errors.As(err, &refused) && !refused.temporary():
			s.logger.Error("The agent refuses events", "events", bytes.Count(request, newline), "error", err)
			done = len(request)
			s.rejected.Add(uint64(bytes.Count(request, newline)))
			rest = rest[done:]
			s.queue.gaveBack(done)
			continue
		}
		pause := wait.NextBackOff()
		if refused != nil {
			pause = max(pause, refused.RetryAfter)
		}
		s.logger.Warn("The agent cannot take events now", "retry_in", pause, "error", err)
		if !sleep(ctx, pause) {
			s.lose(rest)
			return
		}
	}
	s.queue.recycle(batch)
	s.report(ctx)
}

func (s *sender) lose(lines []byte) {
	n := bytes.Count(lines, newline)
	s.lost += n
	s.queue.lost(n)
}

var newline = []byte{'\n'}

// send makes one request and says how many of its lines are done with.
func (s *sender) send(ctx context.Context, request []byte) (lines int, err error) {
	var all taken
	err = s.client.call(ctx, http.MethodPost, "/v1/events", "application/x-ndjson", request, &all)
	if err == nil {
		s.count(all)
		return bytes.Count(request, newline), nil
	}
	var refused *Error
	if errors.As(err, &refused) && refused.details != nil {
		var part struct {
			Consumed int `json:"consumed"`
			taken
		}
		if json.Unmarshal(refused.details, &part) == nil {
			s.count(part.taken)
			return part.Consumed, err
		}
	}
	return 0, err
}

// taken is what the agent says of a request's lines.
type taken struct {
	Accepted uint64 `json:"accepted"`
	Rejected uint64 `json:"rejected"`
	Errors   []struct {
		Line    int    `json:"line"`
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (s *sender) count(t taken) {
	s.accepted.Add(t.Accepted)
	s.rejected.Add(t.Rejected)
	if len(t.Errors) > 0 {
		s.logger.Warn("The agent rejected events", "events", t.Rejected, "code", t.Errors[0].Code, "first", t.Errors[0].Message)
	}
}

// report tells the agent of drops that it has not been told of. What cannot be told now is told later.
func (s *sender) report(ctx context.Context) {
	drops := s.queue.drops()
	if drops == s.reported {
		return
	}
	report := Event{Name: dropsEvent, Time: time.Now(), Severity: "WARN", AgentID: s.client.agentID(),
		Body:         "The application's queue was full; events were dropped",
		Measurements: Measurements{"count": float64(drops - s.reported)}}
	line, err := report.appendJSON(nil)
	if err == nil {
		err = s.client.call(ctx, http.MethodPost, "/v1/events", "application/json", line, nil)
	}
	if err == nil {
		s.reported = drops
	}
}

// sleep waits for d, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
