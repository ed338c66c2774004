// This file holds the sections about the agent itself: overview, flows, tables, audit.

package control

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

func overviewPart(_ context.Context, b *board) (page.Section, bool, error) {
	status := b.status()
	health := page.Fact{Name: "Health", Value: "every component is well", State: page.Good}
	problems := page.Table{Caption: "Components that report an error", Columns: []string{"Component", "Status", "Error"}}
	for _, c := range status.Components {
		if c.Error != "" {
			problems.Rows = append(problems.Rows, []page.Cell{{Text: c.Kind + " " + c.ID}, {Text: c.Status, State: page.Bad}, {Text: c.Error}})
		}
	}
	s := page.Section{ID: "overview", Title: "Overview"}
	if !status.Healthy {
		health.Value, health.State = "components report errors", page.Bad
		s.Tables = []page.Table{problems}
	}
	s.Facts = []page.Fact{
		health,
		{Name: "Version", Value: status.Version},
		{Name: "Up since", Value: clock(status.StartedAt)},
		{Name: "Process", Value: fmt.Sprintf("%d, user %d", status.PID, status.UID)},
	}
	return s, false, nil
}

// flows are what the page shows as going in and out, in this order.
var flows = []struct{ key, name string }{
	{"logs_in", "events and logs in"}, {"logs_out", "events and logs out"}, {"spans_in", "spans in"}, {"spans_out", "spans out"},
}

func flowsPart(_ context.Context, b *board) (page.Section, bool, error) {
	s := page.Section{ID: "flows", Title: "Rates"}
	samples := b.samples()
	if !slices.ContainsFunc(samples, func(x operator.Sample) bool { return x.Rates != nil }) {
		s.Note = "The agent's own metrics could not be read: no rates."
		return s, false, nil
	}
	var series []page.Series
	for _, flow := range flows {
		line := page.Series{Name: flow.name}
		for _, x := range samples {
			line.Values = append(line.Values, rateOf(x, flow.key))
		}
		series = append(series, line)
		last := line.Values[len(line.Values)-1]
		if !math.IsNaN(last) {
			s.Facts = append(s.Facts, page.Fact{Name: flow.name, Value: page.Number(last) + " a second"})
		}
	}
	chart, err := page.Lines("Records a second", timesOf(samples), series, page.Number)
	s.Charts = []page.Chart{chart}
	return s, false, err
}

func rateOf(x operator.Sample, flow string) float64 {
	if rate, ok := x.Rates[flow]; ok {
		return rate
	}
	return math.NaN()
}

func timesOf(samples []operator.Sample) []time.Time {
	times := make([]time.Time, len(samples))
	for i, x := range samples {
		times[i] = x.At
	}
	return times
}

func tablesPart(_ context.Context, b *board) (page.Section, bool, error) {
	tables := b.tables()
	s, err := page.TablesSection(tables)
	if err != nil || len(tables) == 0 {
		return s, false, err
	}
	chart, err := page.TableSizes(b.samples())
	s.Charts = []page.Chart{chart} // over time, which says more here than the bars
	return s, false, err
}

// auditShown is how many mutations the page shows.
const auditShown = 20

func auditPart(_ context.Context, b *board) (page.Section, bool, error) {
	mutations := b.audit(0)
	mutations = mutations[max(0, len(mutations)-auditShown):]
	table := page.Table{Columns: []string{"When", "Call", "Who", "Why", "Answer"}, Empty: "Nobody has changed anything since the agent started."}
	for _, m := range slices.Backward(mutations) {
		answer := page.Cell{Text: fmt.Sprint(m.Status)}
		if m.Status >= 400 {
			answer.State = page.Warn
		}
		what := m.Change
		if what == "" {
			method, _, _ := strings.Cut(m.Call, " ")
			what = method + " " + m.Path
		}
		row := page.Text(clock(m.At), what, author(m), m.Reason)
		table.Rows = append(table.Rows, append(row, answer))
	}
	return page.Section{ID: "audit", Title: "What operators did", Tables: []page.Table{table}}, false, nil
}

func author(m Mutation) string {
	if m.UID == nil {
		return m.Author + " from " + m.Remote
	}
	return fmt.Sprintf("%s (uid=%d)", m.Author, *m.UID)
}

func clock(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }
