package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Options of a run.
type Options struct {
	// Endpoint is the host:port of an OTLP/gRPC receiver.
	Endpoint string
	// Senders at once, each with a connection of its own. Default 4.
	Senders int
	// Records to send; 0 for as many as fit until Halt, or the context's end, which cuts requests off.
	Records int
	// Halt, when it is closed, ends the run after the requests in flight.
	Halt <-chan struct{}
	// Rate bounds the records a second of all senders together; 0 for no bound.
	Rate float64
	// Retry repeats requests that the receiver refused for now, as exporters do, until the context ends.
	// Without it a refused request is given up and counted.
	Retry bool
	// Accepted, where set, is told of records as they are acknowledged.
	Accepted func(records int)
}

// Result is the account of a run, in records.
type Result struct {
	// Accepted were acknowledged.
	Accepted int
	// Refused were answered with an error and not sent again.
	Refused int
	// Unknown were cut off: the receiver may or may not have taken them, so a retry of them may be a repeat.
	Unknown int
	// Retries are the requests that were sent again.
	Retries int
	// Elapsed from the first request to the last answer.
	Elapsed time.Duration
	// Latency of the requests that were accepted.
	Latency Latency
	// LastError is one of the answers that refused, for the reader.
	LastError string
}

// Add puts two accounts together.
func (r Result) Add(o Result) Result {
	r.Accepted += o.Accepted
	r.Refused += o.Refused
	r.Unknown += o.Unknown
	r.Retries += o.Retries
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	if o.LastError != "" {
		r.LastError = o.LastError
	}
	return r
}

// Latency in quantiles.
type Latency struct{ P50, P95, P99, Max time.Duration }

// Run sends records of the source, closed loop: each sender waits for the answer before it goes on.
func Run(ctx context.Context, source *Source, o Options) (Result, error) {
	if o.Senders == 0 {
		o.Senders = 4
	}
	limiter := rate.NewLimiter(rate.Inf, 0)
	if o.Rate > 0 {
		limiter = rate.NewLimiter(rate.Limit(o.Rate), source.Records)
	}
	r := &run{source: source, options: o, limiter: limiter}
	if o.Records > 0 {
		r.budget.Store(int64((o.Records + source.Records - 1) / source.Records))
	} else {
		r.budget.Store(1 << 62)
	}
	begun := time.Now()
	var wg sync.WaitGroup
	errs := make([]error, o.Senders)
	for i := range o.Senders {
		wg.Go(func() { errs[i] = r.send(ctx) })
	}
	wg.Wait()
	r.result.Elapsed = time.Since(begun)
	r.result.Latency = quantiles(r.latencies)
	return r.result, errors.Join(errs...)
}

type run struct {
	source  *Source
	options Options
	limiter *rate.Limiter
	budget  atomic.Int64 // turns left

	mu        sync.Mutex
	result    Result
	latencies []time.Duration
}

// send is one sender.
func (r *run) send(ctx context.Context) error {
	conn, err := grpc.NewClient("passthrough:///"+r.options.Endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what it had is answered or lost by then
	t := r.source.newTurn()
	for r.budget.Add(-1) >= 0 && r.wait(ctx) {
		t.next()
		for i, request := range t.bytes {
			// The records of a turn are counted once, with its last request.
			records := 0
			if i == len(t.bytes)-1 {
				records = r.source.Records
			}
			if !r.request(ctx, conn, request, records) {
				break
			}
		}
	}
	return nil
}

// wait is for the rate, and reports whether the run goes on.
func (r *run) wait(ctx context.Context) bool {
	reservation := r.limiter.ReserveN(time.Now(), r.source.Records)
	select {
	case <-time.After(reservation.Delay()):
		return ctx.Err() == nil
	case <-r.options.Halt:
	case <-ctx.Done():
	}
	return false
}

// request sends one until it is settled and reports whether it was accepted.
func (r *run) request(ctx context.Context, conn *grpc.ClientConn, request []byte, records int) bool {
	cut := false
	for {
		begun := time.Now()
		err := conn.Invoke(ctx, r.source.method, request, &discard{}, grpc.ForceCodec(encoded{}), grpc.WaitForReady(r.options.Retry))
		code := status.Code(err)
		// A connection that breaks leaves open whether the request was taken; an answer does not.
		cut = cut || err != nil && !answered(err)
		if err != nil && r.options.Retry && ctx.Err() == nil && retryable(code) {
			r.mu.Lock()
			r.result.Retries++
			r.result.LastError = err.Error()
			r.mu.Unlock()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err == nil:
			r.result.Accepted += records
			if r.options.Accepted != nil {
				r.options.Accepted(records)
			}
			if cut {
				r.result.Unknown += records // once for sure, perhaps twice
			} else {
				r.latencies = append(r.latencies, time.Since(begun))
			}
		case cut:
			r.result.Unknown += r.source.Records
		default:
			r.result.Refused += r.source.Records
			r.result.LastError = err.Error()
		}
		return err == nil
	}
}

// retryable are the codes that the OTLP specification has clients retry.
func retryable(c codes.Code) bool {
	return slices.Contains([]codes.Code{codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange,
		codes.Unavailable, codes.DataLoss, codes.ResourceExhausted}, c)
}

// answered reports whether the error is the receiver's own answer, or was raised before anything was sent.
func answered(err error) bool {
	s, _ := status.FromError(err)
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded:
		return false
	case codes.Unavailable:
		// gRPC's own words for a connection that ended under a request; refusals carry the receiver's.
		for _, cut := range []string{"error reading from server", "transport is closing", "connection reset", "EOF"} {
			if strings.Contains(s.Message(), cut) {
				return false
			}
		}
	}
	return true
}

func quantiles(d []time.Duration) Latency {
	if len(d) == 0 {
		return Latency{}
	}
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[int(q*float64(len(d)-1))] }
	return Latency{P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: d[len(d)-1]}
}

// encoded is a gRPC codec for requests that are bytes already.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not encoded", v)
	}
	return b, nil
}

func (encoded) Unmarshal([]byte, any) error { return nil } // answers are not looked at

// discard takes an answer.
type discard struct{}
