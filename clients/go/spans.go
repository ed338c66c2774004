package foundation

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// SpanProcessor tells the agent of spans as they start, that they are open still, and how they ended, so
// that a span which is open when its process dies reaches the backend all the same. It implements the
// OpenTelemetry SDK's SpanProcessor; the agent delivers the spans, and no other exporter is needed:
//
//	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(client.SpanProcessor(10 * time.Second)))
//
// Register the process first: the agent ends the spans of a registered process at once when it dies. Of
// one that is not, it ends them when their heartbeats stop. Safe for concurrent use.
type SpanProcessor struct {
	client    *Client
	heartbeat time.Duration

	mu   sync.Mutex
	open map[spanKey]sdktrace.ReadOnlySpan

	stop  context.CancelFunc
	ended chan struct{}
}

var _ sdktrace.SpanProcessor = (*SpanProcessor)(nil)

// spanKey identifies a span.
type spanKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

func keyOf(s sdktrace.ReadOnlySpan) spanKey {
	return spanKey{s.SpanContext().TraceID(), s.SpanContext().SpanID()}
}

// heartbeatsMissed is how many heartbeats may fail to come before the agent ends a span.
const heartbeatsMissed = 3

// SpanProcessor returns a processor that sends through this client, and says every heartbeat that open
// spans are open still (10 s is a good value; 0 for never).
func (c *Client) SpanProcessor(heartbeat time.Duration) *SpanProcessor {
	ctx, stop := context.WithCancel(context.Background())
	p := &SpanProcessor{
		client:    c,
		heartbeat: max(heartbeat, 0),
		open:      map[spanKey]sdktrace.ReadOnlySpan{},
		stop:      stop,
		ended:     make(chan struct{}),
	}
	go p.beat(ctx)
	return p
}

// OnStart reports a start.
func (p *SpanProcessor) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock() // its end is queued after its start, whoever ends it
	p.open[keyOf(s)] = s
	p.report(p.startOf(s))
}

// OnEnd reports an end.
func (p *SpanProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock() // no heartbeat is queued after it
	delete(p.open, keyOf(s))
	p.report(p.endOf(s))
}

// ForceFlush waits until the agent has what was reported before the call.
func (p *SpanProcessor) ForceFlush(ctx context.Context) error { return p.client.Flush(ctx) }

// Shutdown ends the heartbeats and sends what waits. The client stays the caller's to close.
func (p *SpanProcessor) Shutdown(ctx context.Context) error {
	p.stop()
	<-p.ended
	return p.client.Flush(ctx)
}

// beat reports the open spans again and again.
func (p *SpanProcessor) beat(ctx context.Context) {
	defer close(p.ended)
	for p.heartbeat > 0 && sleep(ctx, p.heartbeat) {
		p.mu.Lock()
		for _, s := range p.open {
			p.report(p.startOf(s))
		}
		p.mu.Unlock()
	}
}

// report queues a line. What cannot be queued is dropped and counted, as events are (Stats).
func (p *SpanProcessor) report(l spanLine) {
	line, err := json.Marshal(l)
	if err != nil {
		p.client.cfg.logger.Error("A span cannot be reported", "error", fmt.Errorf("span %q: %w", l.Name, err))
		return
	}
	_ = p.client.events.put(append(line, '\n')) // counted
}
