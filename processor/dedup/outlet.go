// This file is the outlet: one goroutine that ends windows as they are due, and delivers what they gave.

package dedup

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

// maxDelivery is the number of records of one delivery.
const maxDelivery = 512

// outlet owns the queue. Nothing else touches it while the goroutine runs.
type outlet struct {
	p         *dedupProcessor
	queue     []*parcel
	backoff   *backoff.ExponentialBackOff
	again     int64 // unix ns before which a failed delivery is not tried again
	drained   int64 // unix ns of the last drain
	explained int64 // and of the last report of dry runs

	failures atomic.Int64
	cancel   context.CancelFunc
	stopped  chan struct{}
}

func newOutlet(p *dedupProcessor) *outlet {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = p.cfg.Retry.InitialInterval
	b.MaxInterval = p.cfg.Retry.MaxInterval
	b.Multiplier = p.cfg.Retry.Multiplier
	b.RandomizationFactor = p.cfg.Retry.RandomizationFactor
	b.Reset()
	return &outlet{p: p, backoff: b, stopped: make(chan struct{})}
}

func (o *outlet) start() {
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	go o.run(ctx)
}

// stop ends the goroutine. What waits stays in the queue.
func (o *outlet) stop() {
	o.cancel()
	<-o.stopped
}

func (o *outlet) run(ctx context.Context) {
	defer close(o.stopped)
	ticker := time.NewTicker(time.Duration(tick))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := o.p.now()
			o.collect(now)
			o.drain(now)
			o.deliver(ctx, now)
			o.explain(now)
		}
	}
}

// collect takes what the windows that have ended gave.
func (o *outlet) collect(now int64) {
	o.takeIn(o.p.table.advance(now), now)
	o.takeIn(o.samples(now, false), now)
}

// drain lets go of dropped weight while the rules are off: there is nothing that it could ride on.
func (o *outlet) drain(now int64) {
	if o.p.flag.Enabled() || now-o.drained < int64(time.Second) {
		return
	}
	o.drained = now
	for _, r := range o.p.rules {
		if r.dropsToCarry && r.stats.held.load() > 0 {
			o.takeIn(o.p.table.closeAll(func(e *entry) bool { return e.kind == kindCarry }), now)
			return
		}
	}
}

// takeIn queues parcels, or adds them to the batch that their rule has for them.
func (o *outlet) takeIn(parcels []*parcel, now int64) {
	for _, one := range parcels {
		if one.kind == kindBatch || one.kind == kindCarry || one.held.lanes.batchSize == 0 {
			o.queue = append(o.queue, one)
			continue
		}
		h := one.held
		a := addition{records: 1, weight: h.weight, at: h.last, aggregate: h.aggregates, kept: h.kept, lanes: &h.lanes}
		if one.kind != kindSample {
			a.summary, a.logCount, a.firstAt = true, h.logCount(one.led), h.first
		}
		o.p.table.hold(h.lanes.batch, kindBatch, one.rule, h.lanes.batchTimeout, &a, now)
		o.done(one)
	}
}

// samples releases the reservoirs whose window has ended, all of them when told to.
func (o *outlet) samples(now int64, all bool) []*parcel {
	var parcels []*parcel
	for _, r := range o.p.rules {
		if r.reservoir == nil {
			continue
		}
		parcels = append(parcels, o.sampleOf(r, r.reservoir.release(now, all), now)...)
	}
	return parcels
}

// sampleOf makes parcels of a reservoir's records. What was dropped is shared among those of the same event name and resource.
func (o *outlet) sampleOf(r *rule, released []sample, now int64) []*parcel {
	siblings := map[key]int{}
	for _, s := range released {
		siblings[s.lanes.carry]++
	}
	waiting := map[key]float64{}
	for carry := range siblings {
		waiting[carry], _ = o.p.table.takeCarry(carry)
		r.stats.held.add(waiting[carry])
	}
	parcels := make([]*parcel, 0, len(released))
	for _, s := range released {
		left := siblings[s.lanes.carry]
		share := math.Floor(waiting[s.lanes.carry] / float64(left))
		if left == 1 {
			share = waiting[s.lanes.carry]
		}
		siblings[s.lanes.carry]--
		waiting[s.lanes.carry] -= share
		one := &parcel{kind: kindSample, rule: r, held: &held{kept: s.kept, lanes: s.lanes}}
		one.held.add(&addition{records: 1, weight: s.weight + share, at: now, lanes: &s.lanes})
		o.p.table.postSample(one, s.lanes.carry, now)
		parcels = append(parcels, one)
	}
	return parcels
}

// deliver hands on what is queued until the queue is empty, something fails, or ctx ends.
func (o *outlet) deliver(ctx context.Context, now int64) {
	for len(o.queue) > 0 && now >= o.again && ctx.Err() == nil {
		parcels := o.next()
		err := o.send(ctx, parcels)
		if err != nil && !consumererror.IsPermanent(err) {
			o.failures.Add(1)
			wait := o.backoff.NextBackOff()
			o.again = now + int64(wait)
			o.p.set.Logger.Warn("Summaries could not be delivered; they are kept and tried again",
				zap.Error(err), zap.Int("waiting", len(o.queue)), zap.Duration("again_in", wait))
			return
		}
		o.settle(parcels, err)
		o.queue = o.queue[len(parcels):]
		o.backoff.Reset()
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
}

// settle counts parcels that were taken, or refused for good.
func (o *outlet) settle(parcels []*parcel, err error) {
	if err != nil {
		o.failures.Add(1)
		o.p.set.Logger.Error("Summaries were refused for good", zap.Error(err), zap.Int("summaries", len(parcels)))
	}
	for _, one := range parcels {
		stats := &one.rule.stats
		stats.held.add(-one.held.weight)
		if err != nil {
			stats.refused.add(one.held.weight)
		} else {
			stats.out.add(one.held.weight)
			if one.kind != kindSample {
				stats.summaries.Add(1)
			}
		}
		o.done(one)
	}
}

func (o *outlet) done(one *parcel) {
	s := o.p.table.shardOf(one.id.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done(one)
}

// next returns the parcels at the head of the queue that leave together: of one tenant.
func (o *outlet) next() []*parcel {
	n := 1
	for n < len(o.queue) && n < maxDelivery && o.queue[n].tenant() == o.queue[0].tenant() {
		n++
	}
	return o.queue[:n]
}

// send delivers parcels, those of one resource and scope together.
func (o *outlet) send(ctx context.Context, parcels []*parcel) error {
	ld := plog.NewLogs()
	places := map[key]plog.LogRecordSlice{}
	for _, one := range parcels {
		o.ride(one)
		logs, record, err := one.record()
		if err != nil {
			return consumererror.NewPermanent(fmt.Errorf("kept record of rule %q cannot be read: %w", one.rule.name, err))
		}
		place, ok := places[one.held.kept.origin]
		if !ok {
			rl := ld.ResourceLogs().AppendEmpty()
			logs.ResourceLogs().At(0).MoveTo(rl)
			place = rl.ScopeLogs().At(0).LogRecords()
			places[one.held.kept.origin] = place
			continue
		}
		record.MoveTo(place.AppendEmpty())
	}
	return o.p.next.ConsumeLogs(parcels[0].tenant().context(ctx), ld)
}

// ride lets what was dropped ride on a summary.
func (o *outlet) ride(one *parcel) {
	if one.kind != kindKey || !one.rule.dropsToCarry {
		return
	}
	weight, _ := o.p.table.takeCarry(one.held.lanes.carry)
	if weight == 0 {
		return
	}
	one.rule.stats.held.add(weight)
	s := o.p.table.shardOf(one.id.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	one.held.weight += weight
	s.changes.posted(one)
}

// deliverAll delivers everything that is held, before ctx ends. What cannot be delivered stays where there is storage.
func (o *outlet) deliverAll(ctx context.Context) error {
	// Twice: what rules add to batches leaves with the batches.
	for range 2 {
		now := o.p.now()
		o.takeIn(o.samples(now, true), now)
		o.takeIn(o.p.table.closeAll(func(e *entry) bool { return e.kind != kindCarry }), now)
	}
	for {
		o.again = 0
		o.deliver(ctx, o.p.now())
		if len(o.queue) == 0 {
			// Last, what found no record to ride on.
			if o.queue = o.p.table.closeAll(func(*entry) bool { return true }); len(o.queue) == 0 {
				return nil
			}
			continue
		}
		wait := o.backoff.NextBackOff()
		select {
		case <-ctx.Done():
			return o.undelivered()
		case <-time.After(wait):
		}
	}
}

// undelivered tells what is left at shutdown.
func (o *outlet) undelivered() error {
	if o.p.state != nil {
		o.p.set.Logger.Warn("Summaries could not be delivered before shutdown; they wait in storage", zap.Int("summaries", len(o.queue)))
		return nil
	}
	weight := 0.0
	for _, one := range o.queue {
		weight += one.held.weight
	}
	return fmt.Errorf("%d summaries of %v events could not be delivered before shutdown and are lost: there is no storage", len(o.queue), weight)
}
