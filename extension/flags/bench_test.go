package flags

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A check in the pipeline: one atomic load, no allocation.
func BenchmarkEnabled(b *testing.B) {
	h, err := started(b, nil).Bind("use_ets_sampled_events")
	require.NoError(b, err)
	b.ReportAllocs()
	on := 0
	for b.Loop() {
		if h.Enabled() {
			on++
		}
	}
	require.Zero(b, on)
}

// thousand are 1,000 flags, each tenth with targeting.
func thousand(b *testing.B) string {
	flags := make([]string, 1_000)
	for i := range flags {
		targeting := ""
		if i%10 == 0 {
			targeting = `,"targeting":{"if":[{"ends_with":[{"var":"email"},"@example.com"]},{"fractional":[["on",50],["off",50]]},null]}`
		}
		flags[i] = fmt.Sprintf(`"flag-%04d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","metadata":{"team":"t"}%s}`, i, targeting)
	}
	return fileOf(b, "thousand.json", `{"flags":{`+strings.Join(flags, ",")+`}}`)
}

func BenchmarkOFREP(b *testing.B) {
	e := started(b, func(cfg *Config) { cfg.Files = []string{thousand(b)} })
	mux := http.NewServeMux()
	e.MountApplication(mux)
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	for name, path := range map[string]string{
		"bulk of 1000":      ofrepFlags,
		"single targeted":   ofrepFlags + "/flag-0010",
		"single untargeted": ofrepFlags + "/flag-0011",
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				answer, err := http.Post(server.URL+path, "application/json",
					bytes.NewReader([]byte(`{"context":{"targetingKey":"user-1","email":"me@example.com"}}`)))
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, answer.Body)
				require.NoError(b, err)
				require.NoError(b, answer.Body.Close())
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
