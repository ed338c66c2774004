package exposition

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, status int, media, text string) *Scraper {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text) // the scraper may have gone
	}))
	t.Cleanup(s.Close)
	return &Scraper{URL: func() (string, error) { return s.URL, nil }, Client: s.Client()}
}

func TestScrape(t *testing.T) {
	families, err := serve(t, http.StatusOK, "text/plain; version=0.0.4", `# TYPE requests_total counter
requests_total{path="a"} 1
requests_total{path="b"} 2
size_bytes 7
target_info{service_version="1.2"} 1
`).Scrape(t.Context())
	require.NoError(t, err)
	assert.InDelta(t, 3, families.Sum("requests"), 0, "whatever suffixes the exporter adds")
	assert.InDelta(t, 7, families.Sum("size"), 0)
	assert.Zero(t, families.Sum("nothing"))
	assert.Equal(t, []string{"1.2"}, families.Versions())
}

func TestScrapeOfOpenMetrics(t *testing.T) {
	families, err := serve(t, http.StatusOK, "application/openmetrics-text; version=1.0.0", `# TYPE requests counter
requests_total{path="} # {"} 3 1520879607.789 # {trace_id="abc"} 1 1520879607.789
# TYPE odd unknown
odd 7
# EOF
`).Scrape(t.Context())
	require.NoError(t, err)
	assert.InDelta(t, 3, families.Sum("requests"), 0)
	assert.InDelta(t, 7, families.Sum("odd"), 0)
}

func TestNoExposition(t *testing.T) {
	_, err := serve(t, http.StatusTeapot, "text/plain", "").Scrape(t.Context())
	require.ErrorContains(t, err, "418")
	_, err = serve(t, http.StatusOK, "text/plain", "<html>").Scrape(t.Context())
	require.ErrorContains(t, err, "no Prometheus exposition")
	_, err = serve(t, http.StatusOK, "text/plain", "{}\n").Scrape(t.Context())
	require.ErrorContains(t, err, "no Prometheus exposition", "the parser panics on it")
}
