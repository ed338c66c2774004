// This file makes families of what registered agents tell of themselves, so that their numbers are
// followed as scraped ones are.

package signal

import (
	"context"
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/exposition"
)

// Vitals reads the vitals of the latest heartbeat of each registered agent: a gauge each, and one series
// for each agent, labelled agent. Without a registry (nil) there are none.
type Vitals struct{ Agents agents.Observer }

// Scrape implements Reader.
func (v Vitals) Scrape(context.Context) (exposition.Families, error) {
	families := exposition.Families{}
	if v.Agents == nil {
		return families, nil
	}
	for _, a := range v.Agents.Registered() {
		for _, name := range slices.Sorted(maps.Keys(a.Vitals)) {
			if families[name] == nil {
				families[name] = &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum()}
			}
			label, value := "agent", a.Vitals[name]
			families[name].Metric = append(families[name].Metric, &dto.Metric{
				Label: []*dto.LabelPair{{Name: &label, Value: &a.ID}}, Gauge: &dto.Gauge{Value: &value},
			})
		}
	}
	return families, nil
}
