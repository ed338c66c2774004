package agenttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // exporters compress
	"google.golang.org/grpc/status"
)

// Backend is a real OTLP/gRPC server that keeps what it accepts. It can refuse, as backends do.
type Backend struct {
	t        testing.TB
	server   *grpc.Server
	Endpoint string // host:port

	mu      sync.Mutex
	logs    []LogRecord
	spans   []Span
	refuses bool
}

// LogRecord is a log record with the resource that it came with.
type LogRecord struct {
	plog.LogRecord
	Resource pcommon.Resource
}

// Span is a span with the resource that it came with.
type Span struct {
	ptrace.Span
	Resource pcommon.Resource
}

// StartBackend listens on loopback until the test ends.
func StartBackend(t testing.TB) *Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &Backend{t: t, server: grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20)), Endpoint: l.Addr().String()}
	plogotlp.RegisterGRPCServer(b.server, &logsServer{b: b})
	ptraceotlp.RegisterGRPCServer(b.server, &tracesServer{b: b})
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(l) }()
	t.Cleanup(func() {
		b.server.Stop()
		if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // stopped before it served
			require.NoError(t, err)
		}
	})
	return b
}

// Exporter is the YAML of an otlp exporter to this backend, with a persistent queue on file_storage that
// retries without pause, for the exporters section.
func (b *Backend) Exporter() string {
	return fmt.Sprintf(`otlp:
    endpoint: %s
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}
    sending_queue: {storage: file_storage, block_on_overflow: true}`, b.Endpoint)
}

// Refuse makes the backend answer Unavailable, or accept again.
func (b *Backend) Refuse(refuse bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = refuse
}

// Logs are the log records accepted so far.
func (b *Backend) Logs() []LogRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]LogRecord(nil), b.logs...)
}

// Spans are the spans accepted so far.
func (b *Backend) Spans() []Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Span(nil), b.spans...)
}

// WaitLogs waits until enough says so of the records accepted so far, and returns them.
func (b *Backend) WaitLogs(what string, enough func([]LogRecord) bool) []LogRecord {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return enough(b.Logs()) }, patience, 20*time.Millisecond, what)
	return b.Logs()
}

// WaitSpans waits until enough says so of the spans accepted so far, and returns them.
func (b *Backend) WaitSpans(what string, enough func([]Span) bool) []Span {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return enough(b.Spans()) }, patience, 20*time.Millisecond, what)
	return b.Spans()
}

func (b *Backend) accept(take func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuses {
		return status.Error(codes.Unavailable, "told to refuse")
	}
	take()
	return nil
}

type logsServer struct {
	plogotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *logsServer) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return plogotlp.NewExportResponse(), s.b.accept(func() {
		for _, rl := range req.Logs().ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					s.b.logs = append(s.b.logs, LogRecord{LogRecord: lr, Resource: rl.Resource()})
				}
			}
		}
	})
}

type tracesServer struct {
	ptraceotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *tracesServer) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), s.b.accept(func() {
		for _, rs := range req.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					s.b.spans = append(s.b.spans, Span{Span: span, Resource: rs.Resource()})
				}
			}
		}
	})
}
