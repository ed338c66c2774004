package foundation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeAgent takes events as a test says.
type fakeAgent struct {
	*httptest.Server
	mu    sync.Mutex
	lines []string
	// answer, where set, says how many lines of a request are taken before it is refused; all below 0.
	answer func(lines int) (taken, status int)
}

func startFake(t testing.TB) *fakeAgent {
	f := &fakeAgent{}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAgent) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	take, status := len(lines), http.StatusAccepted
	if f.answer != nil {
		take, status = f.answer(len(lines))
	}
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusAccepted {
		f.lines = append(f.lines, lines...)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"accepted":%d,"rejected":0,"errors":[]}`, len(lines))
		return
	}
	take = min(take, len(lines))
	f.lines = append(f.lines, lines[:take]...)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":"x","message":"later","details":{"consumed":%d,"accepted":%d,"rejected":0,"errors":[]}}}`, take, take)
}

func (f *fakeAgent) names(t testing.TB) (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.lines {
		var e Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		names = append(names, e.Name)
	}
	return names
}

func quiet() Option { return WithLogger(slog.New(slog.DiscardHandler)) }

func newClient(t testing.TB, endpoint string, options ...Option) *Client {
	c, err := New(endpoint, append([]Option{quiet(), WithBatch(256<<10, time.Millisecond)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.Close(ctx)
	})
	return c
}

func TestEventOnTheWire(t *testing.T) {
	f := startFake(t)
	c := newClient(t, f.URL)
	at := time.Unix(1763000000, 5)
	require.NoError(t, c.Emit(Event{Name: "order.placed", Measurements: Measurements{"count": 1, "eur": 9.5}, Metadata: Metadata{"url": "a&b", "n": []int{1}},
		Time: at, Severity: "ERROR", Body: "hm", AgentID: "a", Process: "p", TraceID: "0102030405060708090a0b0c0d0e0f10", SpanID: "0102030405060708",
		DedupKey: "k", OncePer: 10 * time.Second, Batch: &Batch{Key: "b", Size: 10, Timeout: time.Minute}}))
	require.NoError(t, c.Flush(t.Context()))
	assert.JSONEq(t, `{"name":"order.placed","measurements":{"count":1,"eur":9.5},"metadata":{"url":"a&b","n":[1]},"timestamp":1763000000000000005,
		"severity":"ERROR","body":"hm","agent_id":"a","process":"p","trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708",
		"dedup_key":"k","once_per":"10s","batch":{"key":"b","size":10,"timeout":"1m0s"}}`, f.lines[0])
	assert.Equal(t, Stats{Emitted: 1, Accepted: 1}, c.Stats())
}

func TestEventThatCannotBeEncoded(t *testing.T) {
	f := startFake(t)
	c := newClient(t, f.URL)
	require.Error(t, c.Emit(Event{Name: "e", Measurements: Measurements{"x": math.NaN()}}))
	require.Error(t, c.Emit(Event{Name: "e", Metadata: Metadata{"x": make(chan int)}}))
	require.NoError(t, c.Emit(Event{Name: "good"}))
	require.NoError(t, c.Flush(t.Context()))
	assert.Equal(t, []string{"good"}, f.names(t))
}

// Whatever an event holds, its line is JSON that says the same.
func TestEventsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String()
		e := Event{Name: text.Draw(rt, "name"), Body: text.Draw(rt, "body"), Time: time.Unix(0, rapid.Int64().Draw(rt, "ns")),
			Measurements: rapid.MapOf(text, rapid.Float64()).Draw(rt, "measurements"),
			Metadata:     Metadata{"t": text.Draw(rt, "t"), "i": rapid.Int().Draw(rt, "i"), "b": rapid.Bool().Draw(rt, "b"), "n": nil, "l": []any{"x", 1.5}}}
		line, err := e.appendJSON(nil)
		require.NoError(rt, err)
		require.NotContains(rt, string(line), "\n")
		var back struct {
			Name, Body   string
			Timestamp    int64
			Measurements map[string]float64
			Metadata     map[string]any
		}
		require.NoError(rt, json.Unmarshal(line, &back), string(line))
		require.Equal(rt, e.Name, back.Name)
		require.Equal(rt, e.Body, back.Body)
		require.Equal(rt, e.Time.UnixNano(), back.Timestamp)
		require.Len(rt, back.Measurements, len(e.Measurements))
		for name, value := range e.Measurements {
			require.Equal(rt, value, back.Measurements[name])
		}
		require.Equal(rt, e.Metadata["t"], back.Metadata["t"])
		require.EqualValues(rt, e.Metadata["b"], back.Metadata["b"])
		require.Equal(rt, []any{"x", 1.5}, back.Metadata["l"])
	})
}

// Whatever the agent refuses, every event arrives once and in order.
func TestResumesWhereTheAgentStopped(t *testing.T) {
	f := startFake(t)
	rapid.Check(t, func(rt *rapid.T) {
		f.mu.Lock()
		f.lines = nil
		refusals := rapid.IntRange(0, 2).Draw(rt, "refusals")
		f.answer = func(lines int) (int, int) {
			if refusals--; refusals < 0 {
				return 0, http.StatusAccepted
			}
			return rapid.IntRange(0, lines).Draw(rt, "taken"), rapid.SampledFrom([]int{429, 503}).Draw(rt, "status")
		}
		f.mu.Unlock()
		c := newClient(t, f.URL)
		want := make([]string, rapid.IntRange(1, 50).Draw(rt, "events"))
		for i := range want {
			want[i] = fmt.Sprint("e", i)
			require.NoError(rt, c.Emit(Event{Name: want[i]}))
		}
		require.NoError(rt, c.Close(context.Background()))
		require.Equal(rt, want, f.names(t))
		require.Equal(rt, Stats{Emitted: uint64(len(want)), Accepted: uint64(len(want))}, c.Stats())
	})
}

func TestQueueIsBoundedAndDropsAreReported(t *testing.T) {
	f := startFake(t)
	var away sync.WaitGroup
	away.Add(1)
	f.answer = func(int) (int, int) {
		away.Wait()
		return 0, http.StatusAccepted
	}
	c := newClient(t, f.URL, WithBatch(1000, time.Millisecond), WithQueue(10_000))
	dropped := 0
	for range 1000 {
		began := time.Now()
		if err := c.Emit(Event{Name: "e"}); err != nil {
			require.ErrorIs(t, err, ErrQueueFull)
			dropped++
		}
		require.Less(t, time.Since(began), time.Second, "the caller is never blocked")
	}
	require.Positive(t, dropped)
	away.Done()
	require.NoError(t, c.Close(t.Context()))
	stats := c.Stats()
	assert.EqualValues(t, dropped, stats.Dropped)
	assert.EqualValues(t, 1000, stats.Emitted)
	assert.EqualValues(t, 1000-dropped, stats.Accepted)
	reported := 0.0
	for _, line := range f.lines {
		var e Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e.Name == dropsEvent {
			reported += e.Measurements["count"]
		}
	}
	assert.EqualValues(t, dropped, reported)
}

func TestTooLargeRequestsAreHalved(t *testing.T) {
	f := startFake(t)
	f.answer = func(lines int) (int, int) {
		if lines > 10 {
			return 0, http.StatusRequestEntityTooLarge
		}
		return 0, http.StatusAccepted
	}
	c := newClient(t, f.URL)
	for range 100 {
		require.NoError(t, c.Emit(Event{Name: "e"}))
	}
	require.NoError(t, c.Close(t.Context()))
	assert.Equal(t, Stats{Emitted: 100, Accepted: 100}, c.Stats())
}

func TestRequestsRefusedForGoodAreCountedAndTold(t *testing.T) {
	f := startFake(t)
	f.answer = func(int) (int, int) { return 0, http.StatusUnsupportedMediaType }
	var log bytes.Buffer
	c := newClient(t, f.URL, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, c.Emit(Event{Name: "e"}))
	require.NoError(t, c.Close(t.Context()))
	assert.Equal(t, Stats{Emitted: 1, Rejected: 1}, c.Stats())
	assert.Contains(t, log.String(), "415")
}

func TestAgentThatIsAway(t *testing.T) {
	c := newClient(t, "unix:"+t.TempDir()+"/nobody.sock")
	for range 10 {
		require.NoError(t, c.Emit(Event{Name: "e"}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.Flush(ctx), context.DeadlineExceeded)
	err := c.Close(ctx)
	require.ErrorContains(t, err, "10 events could not be sent")
	assert.Equal(t, Stats{Emitted: 10, Dropped: 10}, c.Stats())
	require.ErrorIs(t, c.Emit(Event{Name: "e"}), ErrClosed)
	require.ErrorIs(t, c.Flush(context.Background()), ErrClosed)
	require.NoError(t, c.Close(context.Background()), "twice is once")
}

func TestWrongOptions(t *testing.T) {
	for _, endpoint := range []string{"", "unix:", "localhost:4327", "ftp://x", "http://"} {
		_, err := New(endpoint)
		require.ErrorContains(t, err, "give \"unix:/path/of/app.sock\"", endpoint)
	}
	for _, option := range []Option{WithQueue(1), WithBatch(0, time.Second), WithBatch(1, 0), WithRequestTimeout(0)} {
		_, err := New("http://localhost:1", option)
		require.ErrorContains(t, err, "not allowed; give")
	}
}

// BenchmarkEmit is the caller's cost of an event: with the agent up, slow, and gone.
func BenchmarkEmit(b *testing.B) {
	slow := func(int) (int, int) {
		time.Sleep(50 * time.Millisecond)
		return 0, http.StatusAccepted
	}
	for _, bb := range []struct {
		name   string
		answer func(int) (int, int)
		gone   bool
	}{{"up", nil, false}, {"slow", slow, false}, {"gone", nil, true}} {
		b.Run(bb.name, func(b *testing.B) {
			f := startFake(b)
			f.answer = bb.answer
			if bb.gone {
				f.Close()
			}
			c := newClient(b, f.URL, WithBatch(256<<10, 100*time.Millisecond))
			e := Event{Name: "order.placed", Measurements: Measurements{"count": 1}, Metadata: Metadata{"user": "ana", "region": "eu"}, DedupKey: "k"}
			b.ReportAllocs()
			for b.Loop() {
				_ = c.Emit(e)
			}
		})
	}
}
