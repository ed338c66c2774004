// This file reads the agent's own metrics where a user would scrape them.

package control

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"

	"github.com/foundation-agent/foundation-agent/internal/exposition"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/selfmetrics"
)

const scrapeTimeout = 2 * time.Second

// flowMetrics are the counters that tell what comes in and what leaves.
var flowMetrics = []struct {
	flow     string
	counters []string
}{
	{"logs_in", []string{"otelcol_receiver_accepted_log_records", "otelcol_wire_dedup_records"}},
	{"logs_out", []string{"otelcol_exporter_sent_log_records"}},
	{"spans_in", []string{"otelcol_receiver_accepted_spans"}},
	{"spans_out", []string{"otelcol_exporter_sent_spans"}},
}

// ownMetrics scrapes the agent itself. Safe for concurrent use.
type ownMetrics struct {
	location selfmetrics.Location
	scraper  exposition.Scraper
}

func newOwnMetrics() *ownMetrics {
	m := &ownMetrics{}
	m.scraper = exposition.Scraper{URL: m.location.URL, Client: &http.Client{Timeout: scrapeTimeout, Transport: &http.Transport{}}}
	return m
}

var _ extensioncapabilities.ConfigSnapshotWatcher = (*control)(nil)

// NotifyConfigSnapshot tells where the agent's own metrics are.
func (c *control) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	if err := c.metrics.location.Tell(snapshot.Effective().ToStringMap()); err != nil {
		c.set.Logger.Warn("No rates on the status page: " + err.Error())
	}
	return nil
}

// flows returns the totals of what came in and what left, as flowMetrics has them.
func (m *ownMetrics) flows(ctx context.Context) ([]float64, error) {
	families, err := m.scraper.Scrape(ctx)
	if err != nil {
		return nil, err
	}
	totals := make([]float64, len(flowMetrics))
	for flow, metric := range flowMetrics {
		for _, name := range metric.counters {
			totals[flow] += families.Sum(name) // a counter that has counted nothing is not exposed
		}
	}
	return totals, nil
}

// distributions returns the histograms of durations that have counted anything.
func (m *ownMetrics) distributions(ctx context.Context) []operator.Distribution {
	families, err := m.scraper.Scrape(ctx)
	if err != nil {
		return nil // pictures are left out; the checks stand without them
	}
	var all []operator.Distribution
	for _, family := range families {
		if family.GetType() != dto.MetricType_HISTOGRAM || !strings.Contains(family.GetName(), "duration") {
			continue
		}
		if d := distribution(family); d.Count > 0 {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b operator.Distribution) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// distribution adds up the series of a family and takes its cumulative buckets apart.
func distribution(family *dto.MetricFamily) operator.Distribution {
	d := operator.Distribution{Name: family.GetName()}
	cumulative := map[float64]uint64{}
	for _, metric := range family.GetMetric() {
		d.Count += metric.GetHistogram().GetSampleCount()
		for _, bucket := range metric.GetHistogram().GetBucket() {
			cumulative[bucket.GetUpperBound()] += bucket.GetCumulativeCount()
		}
	}
	limits := make([]float64, 0, len(cumulative))
	for limit := range cumulative {
		if !math.IsInf(limit, 1) {
			limits = append(limits, limit)
		}
	}
	slices.Sort(limits)
	below := uint64(0)
	for _, limit := range limits {
		d.Buckets = append(d.Buckets, operator.Bucket{UpTo: limit, Count: cumulative[limit] - below})
		below = cumulative[limit]
	}
	d.Buckets = append(d.Buckets, operator.Bucket{Count: d.Count - below})
	return d
}

func (m *ownMetrics) close() { m.scraper.Client.CloseIdleConnections() }
