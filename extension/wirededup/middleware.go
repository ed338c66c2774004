// This file is a request's way through the server: its bytes are sifted before they are decoded, and what was taken
// out is counted when the rest was accepted. A request that is refused leaves no trace, and may be sent again.

package wirededup

import (
	"context"
	"reflect"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
)

// logsRequest is the message that requests of logs are decoded into; it is not exported.
var logsRequest = reflect.TypeFor[plogotlp.ExportRequest]().Field(0).Type

// middleware is the codec of one server, its stats handler, which knows the call that a decoded request belongs to,
// and its interceptor.
type middleware struct {
	encoding.CodecV2 // what decodes
	sieve            *sieve
	sifted           sync.Map // of decoded requests to their *tally, until the call is known: at once
}

func newMiddleware(s *sieve) *middleware {
	return &middleware{CodecV2: encoding.GetCodecV2("proto"), sieve: s}
}

// Unmarshal implements encoding.CodecV2.
func (m *middleware) Unmarshal(data mem.BufferSlice, request any) error {
	table := m.sieve.table.Load()
	if table == nil || reflect.TypeOf(request) != logsRequest || !(*table).Open() || !m.sieve.look() {
		return m.CodecV2.Unmarshal(data, request)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	rest, t := m.sieve.sift(whole.ReadOnlyData(), *table)
	if err := m.CodecV2.Unmarshal(mem.BufferSlice{mem.SliceBuffer(rest)}, request); err != nil {
		t.release()
		return err
	}
	if t != nil {
		m.sifted.Store(request, t)
	}
	return nil
}

// call is what the context of a call carries.
type call struct{ tally *tally }

type callKey struct{}

// TagRPC implements stats.Handler.
func (m *middleware) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callKey{}, &call{})
}

// HandleRPC implements stats.Handler. It follows each decoded request, in the same goroutine.
func (m *middleware) HandleRPC(ctx context.Context, event stats.RPCStats) {
	in, ok := event.(*stats.InPayload)
	if !ok {
		return
	}
	if t, ok := m.sifted.LoadAndDelete(in.Payload); ok {
		ctx.Value(callKey{}).(*call).tally = t.(*tally)
	}
}

// TagConn implements stats.Handler.
func (m *middleware) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (m *middleware) HandleConn(context.Context, stats.ConnStats) {}

// answer is a grpc.UnaryServerInterceptor.
func (m *middleware) answer(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, request)
	if c, ok := ctx.Value(callKey{}).(*call); ok && c.tally != nil {
		if err == nil {
			m.sieve.commit(c.tally)
		}
		c.tally.release()
	}
	return answer, err
}
