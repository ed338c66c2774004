// This file finds what is meant among the metrics of a scrape.

package exposition

import (
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// suffixes that exporters of OpenTelemetry metrics add to a name for its unit (the OpenTelemetry
// specification, "Prometheus and OpenMetrics compatibility"); whether they do is configuration.
var suffixes = []string{
	"_seconds", "_milliseconds", "_microseconds", "_nanoseconds", "_minutes", "_hours", "_days",
	"_bytes", "_kilobytes", "_megabytes", "_gigabytes", "_kibibytes", "_mebibytes", "_gibibytes",
	"_ratio", "_percent", "_per_second", "_per_minute", "_per_hour",
}

// bare is a metric's name without what an exporter may have added for type and unit.
func bare(name string) string {
	name = strings.TrimSuffix(name, "_total")
	for _, s := range suffixes {
		if short, ok := strings.CutSuffix(name, s); ok && short != "" {
			return short
		}
	}
	return name
}

// Find returns the family that is meant: the one of that very name, or else the only one that
// differs by suffixes alone.
func (f Families) Find(metric string) (*dto.MetricFamily, error) {
	if family, ok := f[metric]; ok {
		return family, nil
	}
	want := bare(metric)
	var found []string
	for name := range f {
		if bare(name) == want {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no metric %s", metric)
	case 1:
		return f[found[0]], nil
	}
	slices.Sort(found)
	return nil, fmt.Errorf("metric %s may be %s: name one of them", metric, strings.Join(found, " or "))
}

// Versions are the service.version of whatever answered, by target_info.
func (f Families) Versions() []string {
	var found []string
	for _, m := range f["target_info"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "service_version" && l.GetValue() != "" {
				found = append(found, l.GetValue())
			}
		}
	}
	return found
}

// Sum adds up the series of a metric; 0 where there is none.
func (f Families) Sum(metric string) float64 {
	family, err := f.Find(metric)
	if err != nil {
		return 0
	}
	var sum float64
	for _, m := range family.GetMetric() {
		sum += Value(m)
	}
	return sum
}

// Value of a gauge, a counter or what is of no type; 0 of the others.
func Value(m *dto.Metric) float64 {
	switch {
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetUntyped() != nil:
		return m.GetUntyped().GetValue()
	}
	return 0
}
