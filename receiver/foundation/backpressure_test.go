package foundation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/processor/processortest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"
)

func TestRefusalOfThePipelineReachesTheCaller(t *testing.T) {
	saturated, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(2500 * time.Millisecond)})
	require.NoError(t, err)
	for _, tt := range []struct {
		err    error
		status int
		after  string
		code   string
	}{
		{errors.New("sending queue is full"), 503, "1", "pipeline_unavailable"},
		{consumererror.NewRetryableError(errors.New("later")), 503, "1", "pipeline_unavailable"},
		{saturated.Err(), 429, "3", "pipeline_saturated"},
		{context.DeadlineExceeded, 503, "1", "pipeline_unavailable"},
		{consumererror.NewPermanent(errors.New("never")), 422, "", "pipeline_refused"},
	} {
		p := pipeline{answer: func(context.Context, plog.Logs) error { return tt.err }}
		c := start(t, onUnix(t), &p, nil)
		got := c.emit(`{"name":"e"}`)
		assert.Equal(t, tt.status, got.status, tt.err)
		assert.Equal(t, tt.after, got.header.Get("Retry-After"), tt.err)
		assert.Equal(t, tt.code, got.Error.Code, tt.err)
		assert.Contains(t, got.Error.Message, tt.err.Error())
	}
}

func TestMemoryLimiterReachesTheCaller(t *testing.T) {
	var p pipeline
	f := memorylimiterprocessor.NewFactory()
	cfg := f.CreateDefaultConfig().(*memorylimiterprocessor.Config)
	cfg.CheckInterval, cfg.MemoryLimitMiB = 10*time.Millisecond, 1 // this process is larger
	limiter, err := f.CreateLogs(t.Context(), processortest.NewNopSettings(f.Type()), cfg, &p)
	require.NoError(t, err)
	require.NoError(t, limiter.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, limiter.Shutdown(context.Background())) }()
	c := start(t, onUnix(t), limiter, nil)
	require.Eventually(t, func() bool { return c.emit(`{"name":"e"}`).status == http.StatusServiceUnavailable }, 10*time.Second, 10*time.Millisecond)
	got := c.emit(`{"name":"e"}`)
	assert.Equal(t, "1", got.header.Get("Retry-After"))
	assert.Contains(t, got.Error.Message, "high memory usage")
}

func TestRefusalSaysWhereToResume(t *testing.T) {
	var calls atomic.Int32
	p := pipeline{answer: func(context.Context, plog.Logs) error {
		if calls.Add(1) == 2 {
			return errors.New("queue is full")
		}
		return nil
	}}
	c := start(t, onUnix(t), &p, nil)
	lines := make([]string, 0, chunkRecords+13)
	lines = append(lines, "wrong", "")
	for i := range chunkRecords + 10 {
		lines = append(lines, fmt.Sprintf(`{"name":"e%d"}`, i))
	}
	lines = append(lines, "wrong too")
	got := c.lines(lines...)
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, chunkRecords+2, got.Error.Details.Consumed, "the wrong line, the blank one and the first chunk")
	assert.Equal(t, chunkRecords, got.Error.Details.Accepted)
	assert.Equal(t, 1, got.Error.Details.Rejected, "the last line is not done with")

	got = c.lines(lines[got.Error.Details.Consumed:]...)
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, 10, got.Accepted)
	assert.Equal(t, 1, got.Rejected)
	for i, name := range p.names() {
		assert.Equal(t, fmt.Sprintf("e%d", i), name)
	}
	assert.Len(t, p.names(), chunkRecords+10)
}

// Whatever the lines and whenever the pipeline refuses: a caller that resumes at consumed has every event
// taken once and in order, and is told of every rejection once.
func TestResumingLosesNothingAndRepeatsNothing(t *testing.T) {
	var refuse func() error
	p := &pipeline{answer: func(context.Context, plog.Logs) error { return refuse() }}
	c := start(t, onUnix(t), p, nil)
	rapid.Check(t, func(rt *rapid.T) {
		p.taken = nil
		refuse = func() error {
			switch rapid.IntRange(0, 3).Draw(rt, "answer") {
			case 0:
				return errors.New("queue is full")
			case 1:
				return status.Error(codes.ResourceExhausted, "slow down")
			}
			return nil
		}
		var lines, want []string
		wrong := 0
		for i := range rapid.IntRange(1, 4*chunkRecords).Draw(rt, "lines") {
			switch (i*7 + rapid.IntRange(0, 1).Draw(rt, "kind")) % 13 {
			case 0:
				lines, wrong = append(lines, `{"name":1}`), wrong+1
			case 1:
				lines = append(lines, " ")
			default:
				name := fmt.Sprintf("e%d", i)
				lines, want = append(lines, `{"name":"`+name+`"}`), append(want, name)
			}
		}
		if strings.TrimSpace(strings.Join(lines, "")) == "" {
			return
		}
		accepted, rejected := 0, 0
		for rest := lines; ; {
			got := c.lines(rest...)
			if got.status == http.StatusAccepted {
				accepted, rejected = accepted+got.Accepted, rejected+got.Rejected
				break
			}
			require.Contains(rt, []int{429, 503}, got.status)
			accepted, rejected = accepted+got.Error.Details.Accepted, rejected+got.Error.Details.Rejected
			rest = rest[got.Error.Details.Consumed:]
		}
		require.Equal(rt, want, p.names())
		require.Equal(rt, len(want), accepted)
		require.Equal(rt, wrong, rejected)
	})
}

func TestLinesThatThePipelineRefusesForGood(t *testing.T) {
	p := pipeline{answer: func(_ context.Context, ld plog.Logs) error {
		if ld.LogRecordCount() == chunkRecords {
			return consumererror.NewPermanent(errors.New("never"))
		}
		return nil
	}}
	c := start(t, onUnix(t), &p, nil)
	got := c.lines(strings.Repeat("{\"name\":\"e\"}\n", chunkRecords+1))
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, 1, got.Accepted, "the next chunk is tried")
	assert.Equal(t, chunkRecords, got.Rejected)
	assert.Equal(t, "pipeline_refused", got.Errors[0].Code)
}

func TestPipelineThatHangsIsAnsweredInTime(t *testing.T) {
	p := pipeline{answer: func(ctx context.Context, _ plog.Logs) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	cfg := onUnix(t)
	cfg.ConsumeTimeout = 20 * time.Millisecond
	c := start(t, cfg, &p, nil)
	got := c.emit(`{"name":"e"}`)
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, "pipeline_unavailable", got.Error.Code)
}

func TestTooMuchAtOnceIsRefused(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	p := pipeline{answer: func(context.Context, plog.Logs) error {
		entered <- struct{}{}
		<-release
		return nil
	}}
	cfg := onUnix(t)
	cfg.Unix.Get().Server.MaxRequestBodySize = 1 << 20
	cfg.MaxInFlightBytes = 1 << 20
	c := start(t, cfg, &p, nil)
	large := `{"name":"e","body":"` + strings.Repeat("x", 600<<10) + `"}`
	first := make(chan reply)
	go func() { first <- c.emit(large) }()
	<-entered
	got := c.emit(large)
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, "too_many_requests", got.Error.Code)
	assert.Equal(t, "1", got.header.Get("Retry-After"))
	close(release)
	assert.Equal(t, http.StatusAccepted, (<-first).status)
	go func() { <-entered }()
	assert.Equal(t, http.StatusAccepted, c.emit(large).status, "what was taken is given back")
}

var _ component.Host = testHost{}

// FuzzLines holds the account of any body: every line that is not blank is accepted or rejected, and what
// is accepted is what the pipeline took.
func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"name\":\"e\"}\n\n{\"name\":1}\r\n{\"call\":\"event\",\"name\":\"f\"}"), uint8(0))
	f.Add([]byte("{\"call\":\"span.start\"}\n{\"metadata\":{\"call\":\"x\"},\"name\":\"e\"}\n\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, refuse uint8) {
		var p pipeline
		left := int(refuse % 2)
		p.answer = func(context.Context, plog.Logs) error {
			if left--; left >= 0 {
				return errors.New("queue is full")
			}
			return nil
		}
		r, err := newReceiver(createDefaultConfig().(*Config), nopSettings)
		require.NoError(t, err)
		r.logs.next = &p
		req := httptest.NewRequest(http.MethodPost, "/v1/events", nil)
		req.Header.Set("Content-Type", "application/x-ndjson")
		lines, all := bytes.Split(body, newline), 0
		for _, line := range lines {
			if len(bytes.TrimSpace(line)) > 0 {
				all++
			}
		}
		a := r.serveEvents(req, &sender{}, body)
		before := taken{}
		if a.status != http.StatusAccepted {
			stop := a.body.(errorBody).Error.Details.(stopped)
			before = stop.taken
			a = r.serveEvents(req, &sender{}, bytes.Join(lines[stop.Consumed:], newline))
		}
		require.Equal(t, http.StatusAccepted, a.status)
		done := a.body.(taken)
		require.Equal(t, all, before.Accepted+before.Rejected+done.Accepted+done.Rejected)
		require.Len(t, p.records(), before.Accepted+done.Accepted)
	})
}
