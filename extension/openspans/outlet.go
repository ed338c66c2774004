// This file delivers what leaves the table: in order, again until it is taken, and with no more memory than
// the entries themselves.

package openspans

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// outletBatch is how many spans are sent at once.
const outletBatch = 1000

var errSecondOutlet = errors.New("a table of open spans has one outlet: list span_lifecycle in one traces pipeline for each open_spans extension")

// outlet sends what leaves to the next consumer. One goroutine runs it.
type outlet struct {
	table *table
	next  spans.Outlet
}

// run sends until ctx ends.
func (o *outlet) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.table.wake:
		}
		o.drain(ctx)
	}
}

// drain sends until nothing is leaving, and reports whether it came to that before ctx ended.
func (o *outlet) drain(ctx context.Context) bool {
	wait := backoff.NewExponentialBackOff()
	wait.MaxInterval = 5 * time.Second
	for {
		batch := o.table.batch()
		if len(batch) == 0 {
			return true
		}
		err := o.send(ctx, batch)
		if err == nil {
			wait.Reset()
			continue
		}
		if ctx.Err() != nil {
			return false
		}
		pause := wait.NextBackOff()
		o.table.logger.Warn("Ended spans are not taken; they are kept and sent again", zap.Error(err), zap.Duration("after", pause))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// send sends a batch. Of one that is refused for good only the span at fault is lost: it is searched by halving.
func (o *outlet) send(ctx context.Context, batch []*entry) error {
	err := o.sendWhole(ctx, batch)
	switch {
	case err == nil:
		o.table.delivered(batch)
		return nil
	case !consumererror.IsPermanent(err):
		return err
	case len(batch) == 1:
		o.table.logger.Error("A span is refused for good and lost", zap.Error(err), zap.Stringer("trace_id", batch[0].trace), zap.Stringer("span_id", batch[0].span))
		o.table.refused(batch)
		return nil
	}
	half := len(batch) / 2
	if err := o.send(ctx, batch[:half]); err != nil {
		return err
	}
	return o.send(ctx, batch[half:])
}

func (o *outlet) sendWhole(ctx context.Context, batch []*entry) error {
	outgoing := make([]*entry, 0, len(batch))
	for _, e := range batch {
		if !e.synthetic {
			outgoing = append(outgoing, e)
		}
	}
	if len(outgoing) == 0 {
		return nil
	}
	td := ptrace.NewTraces()
	for some := range slices.Chunk(outgoing, stepItems) {
		o.table.mu.Lock()
		built, err := buildTraces(some)
		o.table.mu.Unlock()
		if err != nil {
			return consumererror.NewPermanent(fmt.Errorf("held bytes: %w", err))
		}
		built.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	return o.next(ctx, td)
}

// batch returns the first entries that are leaving. They stay where they are until they are delivered.
func (t *table) batch() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	batch := make([]*entry, 0, min(t.leaving.len, outletBatch))
	for e := t.leaving.head; e != nil && len(batch) < outletBatch; e = t.leaving.after(e) {
		batch = append(batch, e)
	}
	return batch
}

// delivered buries entries that the next consumer has taken.
func (t *table) delivered(batch []*entry) {
	n := int64(0)
	for _, e := range batch {
		if !e.synthetic {
			n++
		}
	}
	t.stats.delivered.Add(n)
	t.letGo(batch)
}

// refused buries entries that the next consumer will never take.
func (t *table) refused(batch []*entry) {
	t.stats.refusedPermanently.Add(int64(len(batch)))
	t.letGo(batch)
}

func (t *table) letGo(batch []*entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range batch {
		t.leaving.remove(e)
		t.out.remove(e)
		t.bury(e)
		if tell, last := t.obituaries[e]; last {
			delete(t.obituaries, e)
			tell()
		}
	}
}

// attach starts the delivery. detach ends it after a last attempt that lasts until its ctx ends.
func (o *openSpans) AttachOutlet(next spans.Outlet) (detach func(context.Context) error, err error) {
	if !o.attached.CompareAndSwap(false, true) {
		return nil, errSecondOutlet
	}
	out := &outlet{table: o.table, next: next}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.run(ctx)
	}()
	o.table.signal() // what was restored may be leaving
	return func(ctx context.Context) error {
		if o.delivers() {
			o.table.shutDown()
		}
		stop()
		<-done
		last, cancel := context.WithTimeout(ctx, lastDelivery)
		defer cancel()
		delivered := out.drain(last)
		o.attached.Store(false)
		if !delivered && o.journal == nil {
			held, leaving := o.table.amounts()
			return fmt.Errorf("%d spans could not be delivered and there is no storage to keep them", held.spans+leaving.spans)
		}
		return nil
	}, nil
}

// lastDelivery bounds the last attempt at shutdown where nothing else does.
const lastDelivery = 5 * time.Second

// shutDown ends all that is open, for there will be nobody to keep it.
func (t *table) shutDown() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left []*entry
	for _, at := range t.index.places {
		if e := at.entry; e != nil && (e.state == open || e.state == waiting) {
			left = append(left, e)
		}
	}
	t.endAll(left, agentShutdown, t.clock.now())
}
