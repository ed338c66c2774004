// Package spans is how components reach the table of open spans: the foundation receiver for the calls
// of applications, span_lifecycle for half spans and for the error context of logs. The open_spans
// extension provides it.
package spans

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Sender is on whose behalf a call or a record comes, as far as it is proven.
type Sender struct {
	// Agent is the agent.id that the sender has proven; "" for everyone else.
	Agent string
	// Process within the agent, as the sender says; "" is its main process.
	Process string
}

// Proven reports whether the sender has proven an agent id. Only proven senders have stacks and contexts.
func (s Sender) Proven() bool { return s.Agent != "" }

// Why a call is refused. The receiver answers each with a code of its own.
var (
	ErrDisabled    = errors.New("span and context calls are switched off by a flag; use the local path")
	ErrUnproven    = errors.New("this needs a proven agent id: register the agent, then call over the unix socket from the registered process, or send its token")
	ErrNothingOpen = errors.New("no span is open in this process")
	ErrNotYours    = errors.New("the span was opened by another agent")
	ErrEnded       = errors.New("the span has ended already")
	ErrFull        = errors.New("the table of open spans is full and what has ended cannot be delivered; try again later")
	ErrTooLarge    = errors.New("the span or context is larger than the table's configuration allows")
	ErrTooDeep     = errors.New("too many contexts are pushed in this process")
	ErrNoContext   = errors.New("no context is pushed in this process")
	ErrStackInUse  = errors.New("spans are open in this process; a remote parent can be adopted only before the first")
	ErrMalformed   = errors.New("malformed span")
)

// Half is a half span with what it came in. What it holds belongs to the table once it is handed over.
type Half struct {
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
	Span     ptrace.Span
	// SchemaURLs of the resource and the scope; "" for none.
	ResourceSchema, ScopeSchema string
}

// NewHalf returns an empty half span.
func NewHalf() Half {
	rs := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	ss := rs.ScopeSpans().AppendEmpty()
	return Half{Resource: rs.Resource(), Scope: ss.Scope(), Span: ss.Spans().AppendEmpty()}
}

// Ref says which span a call was about.
type Ref struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
	// ParentID is zero for a root.
	ParentID pcommon.SpanID
	// Waiting says that no such span is open yet: what was sent is held until its start comes.
	Waiting bool
}

// Propagation is what a child process needs to continue: the parent and the error context around it.
type Propagation struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
	// Sampled is the W3C trace flag of that name.
	Sampled    bool
	TraceState string
	// Context holds the merged error context; keys carry no prefix.
	Context pcommon.Map
}

// Prover tells who a sender is.
type Prover interface {
	// Sender returns the sender of what comes with ctx: agentID where the caller in ctx
	// (door.WithCaller) or the token in its client metadata proves it, no agent otherwise. With an
	// empty agentID it is the agent that the caller's peer process registered as.
	Sender(ctx context.Context, agentID, process string) Sender
}

// Calls are the span and context calls of applications. Each is done when it returns.
type Calls interface {
	// StartSpan opens a span. Absent ids are made. Without a parent it becomes the child of the span on
	// top of the process's stack when its trace id is absent or equal; else it is linked to it.
	// A start of a span that is open renews its heartbeat.
	StartSpan(s Sender, h Half) (Ref, error)
	// EndSpan ends a span; without a span id, the one on top of the process's stack. An end whose start has
	// not come waits for it.
	EndSpan(s Sender, h Half) (Ref, error)
	// UpdateSpan merges attributes, events and links into an open span; without a span id, the one on top.
	UpdateSpan(s Sender, h Half) (Ref, error)
	// Current returns the span on top of the process's stack, or the adopted parent.
	Current(s Sender) (Ref, error)
	// Propagate returns what Adopt takes in another process.
	Propagate(s Sender) (Propagation, error)
	// Adopt makes a remote span the parent of the process's next first span.
	Adopt(s Sender, p Propagation) error

	// SetContext merges values into the innermost context of the process. Keys carry no prefix.
	SetContext(s Sender, values pcommon.Map) error
	// PushContext opens an inner context; it hides equal keys of outer ones until it is popped.
	PushContext(s Sender, values pcommon.Map) error
	// PopContext closes the innermost context.
	PopContext(s Sender) error
	// ClearContext removes all contexts of the process.
	ClearContext(s Sender) error
	// Context returns the merged error context of the process. Keys carry no prefix.
	Context(s Sender) (pcommon.Map, error)
}

// Passage is one batch of complete spans on its way through the processor. A span that it admitted is
// not ended by anything else until Done.
type Passage interface {
	// Admit reports whether a complete span may pass; false for one that has left already. Where the
	// span was open, what the table knows beyond it is merged in.
	Admit(s Sender, span ptrace.Span) bool
	// Done tells what the next consumer answered: on nil the spans' entries are closed, else they stay open.
	Done(err error)
}

// Outlet takes what leaves the table.
type Outlet func(context.Context, ptrace.Traces) error

// Spans is what the traces side of span_lifecycle uses.
type Spans interface {
	// AttachOutlet starts the delivery of what leaves the table. A table has one outlet: a second is an
	// error. detach stops it; what could not be delivered until ctx ends stays in the table.
	AttachOutlet(o Outlet) (detach func(ctx context.Context) error, err error)
	// Watching reports whether a complete span could concern the table at all: one atomic load.
	Watching() bool
	// Pass begins the passage of a batch of complete spans.
	Pass() Passage
	// TakeHalves takes half spans in. It returns an error, which may be retried, only when nothing was taken.
	TakeHalves(ctx context.Context, halves ptrace.Traces) error
}

// Enricher is what the logs side of span_lifecycle uses.
type Enricher interface {
	// Enrich adds the error context of the span that the record was written in, and reports whether
	// there was any.
	Enrich(s Sender, record plog.LogRecord) bool
	// WouldEnrich reports whether Enrich would add something, and adds nothing.
	WouldEnrich(s Sender, record plog.LogRecord) bool
	// NoteError remembers an error record of an agent, for its obituary.
	NoteError(s Sender, at pcommon.Timestamp, text string)
}

// Table is what the open_spans extension offers. Safe for concurrent use.
type Table interface {
	Prover
	Calls
	Spans
	Enricher
}
