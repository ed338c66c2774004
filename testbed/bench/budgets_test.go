package bench

import (
	"fmt"

	"github.com/foundation-agent/foundation-agent/testbed/report"
)

// budget is a line of the design's table of budgets and how it is read from the results.
type budget struct {
	report.Budget
	scenario string
	measured func(results) report.Stat
}

// against gives the ratio of two contenders within each round.
func against(value func(sample) float64, a, b contender) func(results) report.Stat {
	return func(r results) report.Stat { return report.Ratio(r.of(a, value), r.of(b, value)) }
}

// added is what a contender adds over the floor, against what log_dedup adds over its own.
func added(c contender) func(results) report.Stat {
	return func(r results) report.Stat {
		return report.Of(report.Each(func(v ...float64) float64 { return (v[0] - v[1]) / (v[2] - v[3]) },
			r.of(c, cpu), r.of(floor, cpu), r.of(logDedup, cpu), r.of(peerFloor, cpu)))
	}
}

func budgetLines() []budget {
	return []budget{
		{report.Budget{What: "duplicate event: CPU added over the empty pipeline, against what log_dedup adds", First: 1. / 3, Then: 1. / 10},
			"duplicates, 1,000 keys", added(eventDedup)},
		{report.Budget{What: "the same, with wire_dedup", First: 1. / 3, Then: 1. / 10},
			"duplicates, 1,000 keys", added(onTheWire)},
		{report.Budget{What: "the same, identified by dedup_key, without wire_dedup", First: 1. / 3, Then: 1. / 10},
			"duplicates, 1,000 dedup_keys", added(eventDedup)},
		{report.Budget{What: "unique events: throughput against the empty pipeline", First: 0.75, Then: 0.9, AtLeast: true},
			"unique events", against(rate, eventDedup, floor)},
		{report.Budget{What: "1,000,000 unique keys: peak resident", First: 400, Then: 200, Unit: " MiB"},
			"unique events", func(r results) report.Stat { return report.Of(r.of(eventDedup, peak)) }},
		{report.Budget{What: "complete spans: throughput against the empty pipeline", First: 0.9, Then: 0.95, AtLeast: true},
			"complete spans", against(rate, lifecycle, floor)},
		{report.Budget{What: "start + end pair: CPU of the whole process", First: 4, Then: 2.5, Unit: " µs"},
			"start and end pairs", func(r results) report.Stat { return report.Of(r.of(lifecycle, cpu)) }},
		{report.Budget{What: "start + end pair: CPU added over the empty pipeline", First: 4, Then: 2.5, Unit: " µs"},
			"start and end pairs", addedCPU(lifecycle)},
		{report.Budget{What: "error context on a log record: CPU added", First: 2, Then: 1, Unit: " µs"},
			"logs with error context", addedCPU(lifecycle)},
	}
}

// addedCPU is what a contender adds over the floor, in microseconds a record.
func addedCPU(c contender) func(results) report.Stat {
	return func(r results) report.Stat {
		return report.Of(report.Each(func(v ...float64) float64 { return v[0] - v[1] }, r.of(c, cpu), r.of(floor, cpu)))
	}
}

// budgetResult is a budget and what was measured for it.
type budgetResult struct {
	report.Budget
	measured report.Stat
}

// measuredBudgets reads the lines above from the results.
func measuredBudgets(found map[string]results) []budgetResult {
	var all []budgetResult
	for _, b := range budgetLines() {
		if r, ok := found[b.scenario]; ok {
			all = append(all, budgetResult{b.Budget, b.measured(r)})
		}
	}
	return all
}

// budgetSection is the summary at the top of the page.
func budgetSection(all []budgetResult) report.Section {
	s := report.Section{
		Title:   "Budgets",
		Text:    "Medians and the interval from the lowest to the highest round; ratios are taken within a round. Where the interval holds the limit, the result is undecided.",
		Columns: []string{"what", "measured", "first", "", "then", ""},
	}
	for _, b := range all {
		first, then := b.Verdict(b.measured)
		s.Rows = append(s.Rows, []string{b.What, b.measured.String() + b.Unit,
			fmt.Sprintf("%.3g%s", b.First, b.Unit), first, fmt.Sprintf("%.3g%s", b.Then, b.Unit), then})
	}
	return s
}
