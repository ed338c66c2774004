package openspans

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/extension/openspans/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// fixture is an extension under test with an outlet that keeps what leaves.
type fixture struct {
	*openSpans
	t    testing.TB
	sink *sink
}

// start starts an extension with its outlet; both stop with the test.
func start(t testing.TB, change func(*Config)) *fixture {
	f := startOn(t, componenttest.NewNopHost(), change)
	t.Cleanup(func() { f.stop() })
	return f
}

func startOn(t testing.TB, h component.Host, change func(*Config)) *fixture {
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	o, err := newOpenSpans(nopSettings(), cfg)
	require.NoError(t, err)
	require.NoError(t, o.Start(context.Background(), h))
	return &fixture{openSpans: o, t: t, sink: attach(t, o)}
}

func nopSettings() extension.Settings {
	set := extensiontest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type) // the same at every start, for storage
	return set
}

func attach(t testing.TB, o *openSpans) *sink {
	s := &sink{}
	detach, err := o.AttachOutlet(s.consume)
	require.NoError(t, err)
	s.detach = detach
	return s
}

func (f *fixture) stop() {
	require.NoError(f.t, f.sink.detach(context.Background()))
	require.NoError(f.t, f.Shutdown(context.Background()))
}

// left waits for n spans to have left, and returns them in order.
func (f *fixture) left(n int) []ptrace.Span {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return f.sink.len() >= n }, 5*time.Second, time.Millisecond)
	got := f.sink.all()
	require.Len(f.t, got, n)
	return got
}

// sink is the next consumer.
type sink struct {
	detach func(context.Context) error

	mu   sync.Mutex
	fail error
	// discard keeps the number of spans only.
	discard bool
	n       int
	spans   []ptrace.Span
	// resources of spans, one for each
	resources []pcommon.Resource
}

func (s *sink) consume(_ context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true }) // it was the consumer's
		return s.fail
	}
	s.n += td.SpanCount()
	if s.discard {
		return nil
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.spans = append(s.spans, span)
				s.resources = append(s.resources, rs.Resource())
			}
		}
	}
	return nil
}

func (s *sink) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *sink) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *sink) all() []ptrace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]ptrace.Span(nil), s.spans...)
}

var agentA = spans.Sender{Agent: "a", Process: "p"}

func traceID(n int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func spanID(n int) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// startHalf is a start with the resource of an agent.
func startHalf(name string, change func(ptrace.Span)) spans.Half {
	h := spans.NewHalf()
	h.Resource.Attributes().PutStr("agent.id", "a")
	h.Span.SetName(name)
	h.Span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	if change != nil {
		change(h.Span)
	}
	return h
}

func endHalf(change func(ptrace.Span)) spans.Half {
	h := spans.NewHalf()
	h.Span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	if change != nil {
		change(h.Span)
	}
	return h
}

func (f *fixture) mustStart(s spans.Sender, name string) spans.Ref {
	f.t.Helper()
	ref, err := f.StartSpan(s, startHalf(name, nil))
	require.NoError(f.t, err)
	return ref
}

func (f *fixture) mustEnd(s spans.Sender) spans.Ref {
	f.t.Helper()
	ref, err := f.EndSpan(s, endHalf(nil))
	require.NoError(f.t, err)
	return ref
}

// fakeRegistry proves what it is told to and tells the deaths that a test wants.
type fakeRegistry struct {
	component.StartFunc
	component.ShutdownFunc
	mu     sync.Mutex
	tokens map[string]string
	lately []agents.Down
	watch  func(agents.Down)
}

func (r *fakeRegistry) Proves(c door.Caller, agentID string) bool {
	return c.Token != "" && r.tokens[agentID] == c.Token
}

func (r *fakeRegistry) AgentOf(door.Caller) (string, bool) { return "", false }

func (r *fakeRegistry) WatchDowns(fn func(agents.Down)) (stop func()) {
	for _, d := range r.lately {
		fn(d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watch = fn
	return func() {}
}

func (r *fakeRegistry) tell(d agents.Down) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.At.IsZero() {
		d.At = time.Now()
	}
	r.watch(d)
}

// testHost has the extensions that a test gives it.
type testHost struct {
	extensions map[component.ID]component.Component
}

func (h testHost) GetExtensions() map[component.ID]component.Component { return h.extensions }
