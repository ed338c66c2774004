// This file is the self-check that the control extension runs.

package dedup

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// selfCheck does the processor's own work, in a processor of its own with the same hash and table.
type selfCheck struct{ p *dedupProcessor }

func (c selfCheck) Name() string { return c.p.set.ID.String() }

const (
	checkEvents = 1000
	checkWindow = 40 * time.Millisecond
	checkBudget = 50 * time.Millisecond // for the events; the window is waited for besides
)

// Run sends equal synthetic events through a processor that nothing leaves, and looks whether the account holds.
func (c selfCheck) Run(ctx context.Context) operator.CheckResult {
	sink := make(chan plog.Logs, checkEvents)
	next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error { sink <- ld; return nil })
	if err != nil {
		return failedCheck("make", err)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxKeys = keysPerShard
	cfg.Rules = []Rule{{Name: "check", Dedup: &DedupConfig{Window: checkWindow, Emit: emitFirstAndSummary}}}
	set := processor.Settings{ID: c.p.set.ID, TelemetrySettings: component.TelemetrySettings{
		Logger: zap.NewNop(), MeterProvider: metricnoop.NewMeterProvider(), TracerProvider: tracenoop.NewTracerProvider(), Resource: pcommon.NewResource(),
	}}
	p, err := newProcessor(set, cfg, next)
	if err != nil {
		return failedCheck("make", err)
	}
	if err := p.Start(ctx, nil); err != nil {
		return failedCheck("start", err)
	}
	began := time.Now()
	err = p.ConsumeLogs(ctx, syntheticEvents())
	suppressed := operator.CheckStep{Name: "suppress", OK: err == nil, Took: time.Since(began), Budget: checkBudget}
	began = time.Now()
	weight := 0.0
	timeout := time.After(10 * checkWindow)
	for waiting := true; waiting && weight < checkEvents; {
		select {
		case ld := <-sink:
			weight += weightOf(ld)
		case <-timeout:
			waiting = false
		}
	}
	err = p.Shutdown(ctx)
	summarized := operator.CheckStep{Name: "summary", OK: err == nil && weight == checkEvents, Took: time.Since(began),
		Budget: 10 * checkWindow, Detail: fmt.Sprintf("%v of %d events accounted for", weight, checkEvents)}
	steps := []operator.CheckStep{suppressed, summarized, c.durable()}
	ok := true
	for _, s := range steps {
		ok = ok && s.OK
	}
	return operator.CheckResult{OK: ok, Steps: steps}
}

// durable looks whether state reaches the storage.
func (c selfCheck) durable() operator.CheckStep {
	step := operator.CheckStep{Name: "storage", OK: true, Detail: "none configured"}
	if c.p.state != nil {
		step.Detail = "written"
		if err := c.p.state.log.Err(); err != nil {
			step.OK, step.Detail = false, err.Error()
		}
	}
	return step
}

func failedCheck(step string, err error) operator.CheckResult {
	return operator.CheckResult{Steps: []operator.CheckStep{{Name: step, Detail: err.Error()}}}
}

func syntheticEvents() plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range checkEvents {
		lr := records.AppendEmpty()
		lr.SetEventName("foundation.dedup.check")
		lr.Attributes().PutBool(attr.Synthetic, true)
	}
	return ld
}

// weightOf sums the weights of records.
func weightOf(ld plog.Logs) (sum float64) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				weight := 1.0
				if v, ok := lr.Attributes().Get(attr.AdjustedCount); ok {
					weight, _ = number(v)
				}
				sum += weight
			}
		}
	}
	return sum
}
