package foundation

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadata"
)

// extensionEvents puts the events of extensions into the logs pipeline, those of one extension in order.
type extensionEvents struct {
	buffers   []*extevent.Buffer
	outlet    *logsOutlet
	telemetry *telemetry
	logger    *zap.Logger

	cancel  context.CancelFunc // ends waiting and retrying
	running sync.WaitGroup
}

// findExtensionEvents finds the sources that the configuration names.
func (r *foundationReceiver) findExtensionEvents(h component.Host) (*extensionEvents, error) {
	e := &extensionEvents{outlet: &r.logs, telemetry: r.telemetry, logger: r.set.Logger}
	for _, id := range r.cfg.EventsFrom {
		source, err := host.Extension[extevent.Source](h, "events_from", id)
		if err != nil {
			return nil, err
		}
		e.buffers = append(e.buffers, source.Events())
	}
	return e, nil
}

func (e *extensionEvents) start() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	for _, buffer := range e.buffers {
		e.running.Go(func() { e.forward(ctx, buffer) })
	}
}

// stop tries once to deliver what has been told so far; the rest is lost and counted.
func (e *extensionEvents) stop() {
	if e.cancel != nil {
		e.cancel()
	}
	e.running.Wait()
}

func (e *extensionEvents) overflowed() (n int64) {
	for _, buffer := range e.buffers {
		n += int64(buffer.Dropped())
	}
	return n
}

// forward delivers a buffer's events until ctx ends, then what is left in it.
func (e *extensionEvents) forward(ctx context.Context, buffer *extevent.Buffer) {
	for {
		event, err := buffer.Next(ctx)
		if err != nil {
			break
		}
		e.deliver(ctx, event)
	}
	for event, ok := buffer.TryNext(); ok; event, ok = buffer.TryNext() {
		e.deliver(ctx, event)
	}
}

// deliver tries until the pipeline takes the event, refuses it for good, or ctx ends; once at least.
func (e *extensionEvents) deliver(ctx context.Context, event extevent.Event) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		err := e.try(event)
		if err == nil {
			e.telemetry.extensionEvents.Add(1)
			return
		}
		var refused *refusal
		if !errors.As(err, &refused) || !sleep(ctx, wait.NextBackOff()) {
			e.telemetry.extensionEventsDropped.Add(1)
			e.logger.Error("An event of an extension is lost", zap.String("event", event.Name), zap.Error(err))
			return
		}
	}
}

func (e *extensionEvents) try(event extevent.Event) error {
	logs, err := record(event)
	if err != nil {
		return err
	}
	// Not the forwarder's context: a stop lets a try end as the pipeline decides. The caller is this agent
	// itself, whose control attributes the pipeline honours.
	return e.outlet.consume(door.WithCaller(context.Background(), door.Caller{}), logs)
}

// record makes the event's log record.
func record(event extevent.Event) (plog.Logs, error) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(metadata.ScopeName)
	r := scope.LogRecords().AppendEmpty()
	r.SetEventName(event.Name)
	r.SetTimestamp(pcommon.NewTimestampFromTime(event.Time))
	r.SetObservedTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	r.SetSeverityNumber(event.Severity)
	r.SetSeverityText(event.Severity.String())
	r.Body().SetStr(event.Body)
	return logs, errors.Join(
		r.Attributes().FromRaw(event.Attributes),
		resource.Resource().Attributes().FromRaw(event.Resource),
	)
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
