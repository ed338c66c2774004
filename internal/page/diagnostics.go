// This file makes a page of what self-checks found.

package page

import (
	"fmt"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Diagnostics is the page of one run of self-checks.
func Diagnostics(d operator.Diagnostics) (Document, error) {
	overview := Section{ID: "overview", Title: "Overview", Facts: []Fact{
		{Name: "Result", Value: verdictWord(d.OK), State: verdictState(d.OK)},
		{Name: "Agent", Value: d.Agent},
		{Name: "Components", Value: fmt.Sprint(len(d.Checks))},
	}}
	doc := Document{Title: "Diagnostics", Subtitle: d.Agent, Made: d.At, Sections: []Section{overview}}
	for i, c := range d.Checks {
		section, err := checkSection(fmt.Sprintf("check-%d", i), c)
		if err != nil {
			return Document{}, err
		}
		doc.Sections = append(doc.Sections, section)
	}
	tables, err := TablesSection(d.Tables)
	if err != nil {
		return Document{}, err
	}
	sizes, err := TableSizes(d.Samples)
	if err != nil {
		return Document{}, err
	}
	tables.Charts = append(tables.Charts, sizes)
	latencies, err := distributionsSection(d.Distributions)
	doc.Sections = append(doc.Sections, tables, latencies)
	return doc, err
}

func checkSection(id string, c operator.CheckReport) (Section, error) {
	s := Section{ID: id, Title: c.Name, Note: verdictWord(c.OK) + " in " + Seconds(c.Took.Seconds())}
	table := Table{Columns: []string{"Step", "Result", "Took", "Budget", "Detail"}}
	var labels []string
	used := Series{Name: "Share of the budget used"}
	for _, step := range c.Steps {
		limit := ""
		if step.Budget > 0 {
			limit = Seconds(step.Budget.Seconds())
			labels = append(labels, step.Name)
			used.Values = append(used.Values, step.Took.Seconds()/step.Budget.Seconds())
		}
		row := Text(step.Name, "", Seconds(step.Took.Seconds()), limit, step.Detail)
		row[1] = Verdict(step.OK)
		table.Rows = append(table.Rows, row)
	}
	s.Tables = []Table{table}
	if len(labels) == 0 {
		return s, nil
	}
	chart, err := Bars("Share of its time budget that each step used", labels, used, Percent)
	s.Charts = []Chart{chart}
	return s, err
}

// TablesSection shows what tables hold against their bounds.
func TablesSection(tables []operator.TableView) (Section, error) {
	s := Section{ID: "tables", Title: "Tables"}
	table := Table{Columns: []string{"Table", "Entries", "At most", "Memory", "At most", "Stored"}, Empty: "No component has registered a table."}
	var labels []string
	held := Series{Name: "Memory"}
	for _, t := range tables {
		table.Rows = append(table.Rows, Text(t.Name, Count(t.Entries), limit(t.MaxEntries, Count), Bytes(float64(t.Bytes)),
			limit(t.MaxBytes, func(n int64) string { return Bytes(float64(n)) }), yesNo(t.Persisted)))
		labels = append(labels, t.Name)
		held.Values = append(held.Values, float64(t.Bytes))
	}
	s.Tables = []Table{table}
	if len(labels) == 0 {
		return s, nil
	}
	chart, err := Bars("Memory that tables hold", labels, held, Bytes)
	s.Charts = []Chart{chart}
	return s, err
}

func limit(n int64, format func(int64) string) string {
	if n == 0 {
		return ""
	}
	return format(n)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func verdictWord(ok bool) string {
	if ok {
		return "Everything is well"
	}
	return "Something failed"
}

func verdictState(ok bool) State {
	if ok {
		return Good
	}
	return Bad
}
