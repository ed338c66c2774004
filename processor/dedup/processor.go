// This file is the processor: a batch's way through it, from top to bottom, and its start and end.

package dedup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/wire"
	"github.com/foundation-agent/foundation-agent/processor/dedup/internal/metadata"
)

// errQueueFull is retryable: it passes the pressure of a slow consumer on.
var errQueueFull = errors.New("event_dedup: summaries wait for the next consumer and their queue is full; retry later")

// dedupProcessor is one event_dedup in one pipeline. ConsumeLogs is safe for concurrent use.
type dedupProcessor struct {
	set   processor.Settings
	cfg   *Config
	next  consumer.Logs
	now   func() int64 // unix ns; does not go back while the process lives
	trust *trust

	rules   []*rule                // that match; the table has two more
	secret  atomic.Pointer[secret] // replaced where a restored backup brings its own
	tenants *tenants
	table   *table
	outlet  *outlet
	plans   sync.Pool
	planID  atomic.Uint32

	flag    flag.Handle
	preview *preview // of the rules, while the flag is off

	stripped atomic.Int64
	repeated atomic.Int64
	unkeyed  atomic.Int64

	telemetry *metadata.TelemetryBuilder
	state     *state // nil without storage
	stops     []func()
	started   bool
}

func newProcessor(set processor.Settings, cfg *Config, next consumer.Logs) (*dedupProcessor, error) {
	p := &dedupProcessor{
		set:     set,
		cfg:     cfg,
		next:    next,
		now:     clock(),
		tenants: newTenants(cfg.MetadataKeys, int(cfg.MetadataCardinalityLimit)),
		flag:    flag.On,
	}
	configured := cfg.Rules
	if len(configured) == 0 {
		dedup := defaultDedup()
		configured = []Rule{{Name: "events", Match: MatchConfig{Events: []string{"*"}}, Dedup: &dedup}}
	}
	for i := range configured {
		r, err := newRule(i, &configured[i], set.TelemetrySettings)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, r)
	}
	var err error
	if p.preview, err = newPreview(configured, set.TelemetrySettings); err != nil {
		return nil, err
	}
	if p.trust, err = newTrust(cfg.Trust); err != nil {
		return nil, err
	}
	return p, nil
}

// clock returns the wall clock at the start, moved on by the monotonic one: windows do not leap with the wall clock.
func clock() func() int64 {
	start := time.Now()
	return func() int64 { return start.UnixNano() + int64(time.Since(start)) }
}

// Capabilities tells that records are removed and weights written.
func (p *dedupProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// ConsumeLogs plans the batch, hands on what passes, and commits the plan if that was taken. A retryable error
// leaves no trace of the batch, so the sender may send it again.
func (p *dedupProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if p.table.waiting.full() {
		return errQueueFull
	}
	plan := p.newPlan()
	defer p.release(plan)
	var err error
	if plan.tenant, err = p.tenants.of(ctx, &plan.digest); err != nil {
		return err
	}
	plan.now, plan.id = p.now(), p.planID.Add(1)

	rules, trusted := p.rules, p.trust.of(ctx)
	if !p.flag.Enabled() {
		rules = nil // what is held drains; new records pass
		if p.preview.asked(plan.now) {
			p.foresee(ctx, ld, plan, trusted)
		}
	}
	plan.prepare(ctx, ld, rules, p.table, trusted)
	if err := plan.claim(p.table.recent); err != nil {
		return err
	}
	plan.decide(p.table)
	plan.choose(p.table)
	if plan.copied || plan.edited && plan.passing > 0 {
		plan.edit(ld)
	}

	if plan.passing > 0 || len(plan.records) == 0 {
		err = p.next.ConsumeLogs(ctx, ld)
	}
	switch {
	case err == nil:
		plan.commit(p.table, accepted)
	case consumererror.IsPermanent(err):
		plan.commit(p.table, refused)
	default:
		plan.undo(p.table)
		return err
	}
	p.count(plan)
	return err
}

// foresee looks at a batch beside its way.
func (p *dedupProcessor) foresee(ctx context.Context, ld plog.Logs, carriedOut *plan, trusted bool) {
	aside := p.newPlan()
	defer p.release(aside)
	aside.tenant, aside.now = carriedOut.tenant, carriedOut.now
	p.preview.observe(ctx, ld, aside, p.table, trusted)
	carriedOut.stripped += aside.stripped // it has read the records first
}

// count adds what a plan did to the totals.
func (p *dedupProcessor) count(plan *plan) {
	for i, r := range p.table.rules {
		r.stats.take(&plan.tallies[i])
	}
	addInt(&p.stripped, int64(plan.stripped))
	addInt(&p.repeated, int64(plan.repeated))
	addInt(&p.unkeyed, int64(plan.unkeyed))
}

// newPlan returns an empty plan, which hashes with the present secret.
func (p *dedupProcessor) newPlan() *plan {
	plan := p.plans.Get().(*plan)
	plan.digest.secret = *p.secret.Load()
	return plan
}

func (p *dedupProcessor) release(plan *plan) {
	plan.reset()
	p.plans.Put(plan)
}

// Start binds the extensions that the configuration names, restores what is stored, and starts the outlet.
func (p *dedupProcessor) Start(ctx context.Context, h component.Host) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop(ctx))
		}
	}()
	if p.cfg.Flags != nil {
		if err := p.bindFlag(h); err != nil {
			return err
		}
	}
	s, err := makeSecret(p.cfg.KeySecret)
	if err != nil {
		return err
	}
	p.secret.Store(&s)
	p.table = newTable(p.cfg, append(p.rules[:len(p.rules):len(p.rules)],
		&rule{name: ruleRemoved, index: uint16(len(p.rules))},
		&rule{name: ruleNone, index: uint16(len(p.rules) + 1)}), p.now())
	p.outlet = newOutlet(p)
	if p.cfg.Storage != nil {
		if err := p.openState(ctx, h); err != nil {
			return err
		}
	}
	p.plans.New = func() any { return newPlan(len(p.table.rules)) }
	if err := p.register(h); err != nil {
		return err
	}
	if err := p.bindWire(h); err != nil {
		return err
	}
	p.outlet.start()
	p.started = true
	return nil
}

// Names of the rules that are not configured.
const (
	ruleRemoved = "removed" // has what was stored for a rule that is no longer there
	ruleNone    = "none"    // counts what no rule takes
)

func (p *dedupProcessor) bindFlag(h component.Host) error {
	provider, err := host.Extension[flag.Provider](h, "flags", *p.cfg.Flags)
	if err != nil {
		return err
	}
	handle, err := provider.Bind(p.cfg.Flag)
	if err != nil {
		return fmt.Errorf("flag: %w", err)
	}
	p.flag = handle
	p.stops = append(p.stops, handle.OnChange(p.switched))
	return nil
}

func (p *dedupProcessor) bindWire(h component.Host) error {
	if p.cfg.Wire == nil {
		return nil
	}
	sieve, err := host.Extension[wire.Sieve](h, "wire", *p.cfg.Wire)
	if err != nil {
		return err
	}
	unbind, err := sieve.Bind(p)
	if err != nil {
		return fmt.Errorf("wire: %s: %w", p.cfg.Wire, err)
	}
	p.stops = append(p.stops, unbind)
	return nil
}

// switched logs the change. Off is a drain: what is held leaves as its windows end.
func (p *dedupProcessor) switched(enabled bool) {
	p.set.Logger.Info("Rules switched", zap.String("flag", p.cfg.Flag), zap.Bool("enabled", enabled))
}

// register shows the processor: metrics, and the table and self-check where control is configured.
func (p *dedupProcessor) register(h component.Host) error {
	var err error
	if p.telemetry, err = metadata.NewTelemetryBuilder(p.set.TelemetrySettings); err != nil {
		return err
	}
	if err := p.observe(p.telemetry); err != nil {
		return err
	}
	if p.cfg.Control == nil {
		return nil
	}
	control, err := host.Extension[operator.Registrar](h, "control", *p.cfg.Control)
	if err != nil {
		return err
	}
	p.stops = append(p.stops, control.RegisterTable(keysTable{p}), control.RegisterCheck(selfCheck{p}))
	return nil
}

// shutdownGrace bounds the last delivery, and then the last write.
const shutdownGrace = 10 * time.Second

// Shutdown delivers what is held, or stores it, as on_shutdown says. The pipeline sends no more records by then.
func (p *dedupProcessor) Shutdown(ctx context.Context) error {
	if !p.started {
		return nil // Start has cleaned up after itself
	}
	p.outlet.stop()
	var err error
	if p.state == nil || p.cfg.OnShutdown == shutdownDeliver {
		grace, cancel := context.WithTimeout(ctx, shutdownGrace)
		defer cancel()
		err = p.outlet.deliverAll(grace)
	}
	return errors.Join(err, p.stop(ctx))
}

// stop lets go of everything.
func (p *dedupProcessor) stop(ctx context.Context) error {
	for _, stop := range p.stops {
		stop()
	}
	p.stops = nil
	if p.telemetry != nil {
		p.telemetry.Shutdown()
	}
	if p.state == nil {
		return nil
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	return p.state.close(grace)
}
