package signal

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/internal/exposition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpoint serves an exposition that a test changes.
type endpoint struct {
	*httptest.Server
	text  atomic.Value // string; "" answers 500
	media string
}

func serve(t *testing.T, media string) *endpoint {
	e := &endpoint{media: media}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := e.text.Load().(string)
		if text == "" {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", e.media)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(e.Close)
	return e
}

const classicText = "text/plain; version=0.0.4"

// sampled follows specs of one source through expositions, an interval apart.
type sampled struct {
	*Sampler
	t    *testing.T
	e    *endpoint
	at   time.Time
	step time.Duration
}

func follow(t *testing.T, e *endpoint, specs ...Spec) *sampled {
	for i := range specs {
		specs[i].Source = "service"
		if specs[i].Window == 0 {
			specs[i].Window = time.Minute
		}
	}
	reader := &exposition.Scraper{URL: func() (string, error) { return e.URL, nil }, Client: e.Client()}
	return &sampled{
		Sampler: NewSampler(Config{Specs: specs, Readers: map[string]Reader{"service": reader}, Timeout: time.Second}),
		t:       t, e: e, at: time.Unix(1000, 0), step: 10 * time.Second,
	}
}

func (s *sampled) next(text string) Sample {
	s.t.Helper()
	s.e.text.Store(text)
	s.at = s.at.Add(s.step)
	return s.Sample(context.Background(), s.at)
}

func stat(t *testing.T, text string) Stat {
	s, err := ParseStat(text)
	require.NoError(t, err)
	return s
}

func requireValue(t *testing.T, want float64, got guard.Value) {
	t.Helper()
	require.True(t, got.OK, got.Reason)
	assert.InDelta(t, want, got.Number, 1e-9)
}

func requests(ok, failed int) string {
	return fmt.Sprintf("# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\",job=\"x\"} %d\nhttp_requests_total{code=\"500\",job=\"x\"} %d\n", ok, failed)
}

func TestRatesAndRatioOverARestart(t *testing.T) {
	s := follow(t, serve(t, classicText),
		Spec{Name: "all", Metric: "http_requests_total", Stat: Rate},
		Spec{Name: "failed", Metric: "http_requests", Labels: map[string]string{"code": "500"}, Stat: Rate},
		Spec{Name: "increase", Metric: "http_requests_total", Stat: Increase},
		Spec{Name: "share", Stat: Ratio, Dividend: "failed", Divisor: "all"})
	first := s.next(requests(1000, 10))
	assert.False(t, first.Values["all"].OK, "one sample is no rate")
	sample := s.next(requests(1090, 20))
	requireValue(t, 10, sample.Values["all"])
	requireValue(t, 1, sample.Values["failed"])
	requireValue(t, 0.1, sample.Values["share"])
	sample = s.next(requests(40, 10)) // the process has started again
	requireValue(t, 150, sample.Values["increase"])
	for range 10 {
		sample = s.next(requests(40, 10))
	}
	requireValue(t, 0, sample.Values["all"])
	assert.False(t, sample.Values["share"].OK, "nothing to divide by")
}

// A series that appears began at zero; so did one whose metric was not there at all.
func TestFirstErrorCounts(t *testing.T) {
	s := follow(t, serve(t, classicText), Spec{Name: "errors", Metric: "errors", Stat: Increase})
	assert.False(t, s.next("other 1\n").Values["errors"].OK)
	requireValue(t, 3, s.next("errors_total 3\n").Values["errors"])
}

func TestSourceDown(t *testing.T) {
	s := follow(t, serve(t, classicText), Spec{Name: "up", Metric: "up", Stat: Value})
	requireValue(t, 1, s.next("up 1\n").Values["up"])
	sample := s.next("")
	assert.False(t, sample.Values["up"].OK)
	require.ErrorContains(t, sample.Errors["service"], "500")
	sample = s.next("up{ 1\n")
	require.ErrorContains(t, sample.Errors["service"], "no Prometheus exposition")
}

// A source that hangs costs no more than the timeout, and other sources nothing.
func TestHungSource(t *testing.T) {
	e := serve(t, classicText)
	e.text.Store("up 1\n")
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hung.Close()
	defer close(release)
	url := func(u string) func() (string, error) { return func() (string, error) { return u, nil } }
	s := NewSampler(Config{
		Specs: []Spec{{Name: "a", Source: "a", Metric: "up", Stat: Value}, {Name: "b", Source: "b", Metric: "up", Stat: Value}},
		Readers: map[string]Reader{
			"a": &exposition.Scraper{URL: url(e.URL), Client: e.Client()}, "b": &exposition.Scraper{URL: url(hung.URL), Client: hung.Client()},
		},
		Timeout: 100 * time.Millisecond,
	})
	begun := time.Now()
	sample := s.Sample(context.Background(), begun)
	assert.Less(t, time.Since(begun), 5*time.Second)
	assert.True(t, sample.Values["a"].OK)
	assert.Error(t, sample.Errors["b"])
}

func lookups(upTo1ms, upTo5ms, all int, sum float64) string {
	return fmt.Sprintf(`# TYPE lookup_seconds histogram
lookup_seconds_bucket{le="0.001"} %d
lookup_seconds_bucket{le="0.005"} %d
lookup_seconds_bucket{le="+Inf"} %d
lookup_seconds_sum %g
lookup_seconds_count %d
`, upTo1ms, upTo5ms, all, sum, all)
}

func TestQuantilesAreOfTheWindow(t *testing.T) {
	s := follow(t, serve(t, classicText),
		Spec{Name: "p50", Metric: "lookup", Stat: stat(t, "p50")},
		Spec{Name: "p99", Metric: "lookup_seconds", Stat: stat(t, "p99")},
		Spec{Name: "mean", Metric: "lookup", Stat: Mean},
		Spec{Name: "rate", Metric: "lookup", Stat: Rate})
	s.next(lookups(0, 0, 1000, 100)) // slow ones, before anybody watched
	sample := s.next(lookups(100, 100, 1100, 100.05))
	requireValue(t, 0.0005, sample.Values["p50"])
	requireValue(t, 0.00099, sample.Values["p99"])
	requireValue(t, 0.0005, sample.Values["mean"])
	requireValue(t, 10, sample.Values["rate"])
	assert.InDelta(t, 100, sample.Histograms["p99"].Count(), 1e-9)

	s.Restart()
	sample = s.next(lookups(100, 200, 1200, 100.4))
	requireValue(t, 0.005-0.004*0.5, sample.Values["p50"])
	for range 8 {
		sample = s.next(lookups(100, 200, 1200, 100.4))
	}
	assert.Contains(t, sample.Values["p99"].Reason, "nothing observed")
	sample = s.next(lookups(100, 200, 1210, 101))
	requireValue(t, 0.005, sample.Values["p99"]) // beyond the last bound
}

func TestSummaries(t *testing.T) {
	s := follow(t, serve(t, classicText), Spec{Name: "p99", Metric: "rpc_seconds", Stat: stat(t, "p99")}, Spec{Name: "p95", Metric: "rpc", Stat: stat(t, "p95")})
	sample := s.next("# TYPE rpc_seconds summary\nrpc_seconds{quantile=\"0.99\"} 0.2\nrpc_seconds_sum 3\nrpc_seconds_count 4\n")
	requireValue(t, 0.2, sample.Values["p99"])
	assert.Contains(t, sample.Values["p95"].Reason, "no quantile")
}

func TestOpenMetrics(t *testing.T) {
	s := follow(t, serve(t, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
		Spec{Name: "rate", Metric: "requests", Stat: Rate}, Spec{Name: "p50", Metric: "took", Stat: stat(t, "p50")},
		Spec{Name: "odd", Metric: "odd", Stat: Value})
	text := func(n int) string {
		return fmt.Sprintf(`# HELP requests Requests.
# TYPE requests counter
requests_total{path="/a b # {x}"} %d 1520879607.789 # {trace_id="abc"} 1 1520879607.789
requests_created{path="/a b # {x}"} 1.5e9
# TYPE took histogram
# UNIT took seconds
took_bucket{le="0.5"} %d # {trace_id="abc"} 0.2
took_bucket{le="+Inf"} %d
took_sum 1
took_count %d
# TYPE odd unknown
odd 7
# EOF
`, n, n, n, n)
	}
	s.next(text(10))
	sample := s.next(text(20))
	require.Empty(t, sample.Errors)
	requireValue(t, 1, sample.Values["rate"])
	requireValue(t, 0.25, sample.Values["p50"])
	requireValue(t, 7, sample.Values["odd"])
}

func TestGrowth(t *testing.T) {
	s := follow(t, serve(t, classicText), Spec{Name: "growth", Metric: "heap_bytes", Stat: Growth, Window: time.Minute})
	s.next("heap_bytes 1000\n")
	assert.Contains(t, s.next("heap_bytes 1100\n").Values["growth"].Reason, "that its slope needs")
	var sample Sample
	for i := range 6 {
		sample = s.next(fmt.Sprintf("heap_bytes %d\n", 1200+100*i))
	}
	requireValue(t, 36000, sample.Values["growth"])
}

func TestAmbiguousName(t *testing.T) {
	s := follow(t, serve(t, classicText), Spec{Name: "x", Metric: "x", Stat: Value})
	assert.Contains(t, s.next("x_bytes 1\nx_seconds 2\n").Values["x"].Reason, "x_bytes or x_seconds")
}

func TestVersions(t *testing.T) {
	s := follow(t, serve(t, classicText), Spec{Name: "up", Metric: "up", Stat: Value})
	assert.Equal(t, []string{"1.2"}, s.next("up 1\ntarget_info{service_name=\"a\",service_version=\"1.2\"} 1\n").Versions)
}

// Whatever a service answers, a scrape ends without a panic.
func FuzzParse(f *testing.F) {
	f.Add(requests(1, 2), false)
	f.Add("# TYPE a histogram\na_bucket{le=\"1\"} 2 # {x=\"}\"} 1\n# EOF\n", true)
	f.Fuzz(func(t *testing.T, text string, open bool) {
		header := http.Header{"Content-Type": {classicText}}
		if open {
			header.Set("Content-Type", "application/openmetrics-text; version=1.0.0")
		}
		families, err := exposition.Parse([]byte(text), header)
		if err != nil {
			return
		}
		for name := range families {
			s := &series{}
			family, err := families.Find(name)
			require.NoError(t, err)
			s.observe(family, nil)
			r, _ := s.observe(family, nil)
			_, _ = r.histogram.Quantile(0.99)
		}
	})
}
