// Package backend is an OTLP/gRPC server that counts what it gets, and checks it: weights, summaries, repeats,
// spans. It can misbehave in the ways that backends do.
package backend

import (
	"context"
	"net"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // exporters compress
	"google.golang.org/grpc/status"
)

// Mood is how the backend treats requests.
type Mood int

// The moods.
const (
	// Accepts counts and acknowledges.
	Accepts Mood = iota
	// Refuses answers Unavailable, which exporters retry.
	Refuses
	// Stalls keeps requests without an answer until the mood changes; it then answers Unavailable.
	Stalls
	// Dawdles accepts, a quarter of a second late.
	Dawdles
	// Forgets counts, and answers Unavailable: the acknowledgement is lost, so what it counted comes again.
	Forgets
)

// Backend counts. Create it with Start.
type Backend struct {
	// Endpoint is host:port.
	Endpoint string

	server *grpc.Server
	served chan error
	logs   *Logs
	spans  *Spans

	mu      sync.Mutex
	mood    Mood
	changed chan struct{} // closed when the mood changes
}

// Start listens on a free port of loopback.
func Start() (*Backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Backend{
		Endpoint: l.Addr().String(),
		server:   grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20)),
		served:   make(chan error, 1),
		logs:     newLogs(),
		spans:    newSpans(),
		changed:  make(chan struct{}),
	}
	plogotlp.RegisterGRPCServer(b.server, &logsServer{b: b})
	ptraceotlp.RegisterGRPCServer(b.server, &tracesServer{b: b})
	go func() { b.served <- b.server.Serve(l) }()
	return b, nil
}

// Stop ends it.
func (b *Backend) Stop() error {
	b.Be(Refuses) // lets stalled requests go
	b.server.Stop()
	return <-b.served
}

// Logs are the account of log records.
func (b *Backend) Logs() *Logs { return b.logs }

// Spans are the account of spans.
func (b *Backend) Spans() *Spans { return b.spans }

// Be changes the mood.
func (b *Backend) Be(m Mood) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mood = m
	close(b.changed)
	b.changed = make(chan struct{})
}

// take treats one request by the mood: count is called where it counts.
func (b *Backend) take(ctx context.Context, count func()) error {
	b.mu.Lock()
	mood, changed := b.mood, b.changed
	b.mu.Unlock()
	switch mood {
	case Refuses:
		return status.Error(codes.Unavailable, "told to refuse")
	case Stalls:
		select {
		case <-changed:
		case <-ctx.Done():
		}
		return status.Error(codes.Unavailable, "stalled")
	case Dawdles:
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	case Forgets:
		count()
		return status.Error(codes.Unavailable, "told to lose the acknowledgement")
	}
	count()
	return nil
}

type logsServer struct {
	plogotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *logsServer) Export(ctx context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return plogotlp.NewExportResponse(), s.b.take(ctx, func() { s.b.logs.count(req.Logs()) })
}

type tracesServer struct {
	ptraceotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *tracesServer) Export(ctx context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), s.b.take(ctx, func() { s.b.spans.count(req.Traces()) })
}
