// This file makes the page of a report: what happened, by stage, with the signals before and after.

package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Report is the page of what /v1/migration/report answers.
func Report(r operator.MigrationReport) (Document, error) {
	stages, err := reportStages(r)
	if err != nil {
		return Document{}, err
	}
	signals, err := reportSignals(r.Signals)
	if err != nil {
		return Document{}, err
	}
	d := Document{
		Title: "Migration report", Made: r.To,
		Subtitle: r.From.UTC().Format(time.DateTime) + " to " + r.To.UTC().Format(time.DateTime) + " UTC",
		Sections: []Section{stages, reportHistory(r.History)},
	}
	for i, change := range r.Changes {
		d.Sections = append(d.Sections, reportChange(i, change))
	}
	d.Sections = append(d.Sections, signals)
	return d, nil
}

func reportStages(r operator.MigrationReport) (Section, error) {
	table := Table{Columns: []string{"Stage", "From", "To", "For", "Left by"}}
	levels := []string{"none"}
	times, held := make([]time.Time, 0, len(r.Stages)), make([]int, 0, len(r.Stages))
	for _, s := range r.Stages {
		table.Rows = append(table.Rows, Text(s.Stage, day(s.From), day(s.To), Seconds(s.To.Sub(s.From).Seconds()), s.Left))
		if !slices.Contains(levels, s.Stage) {
			levels = append(levels, s.Stage)
		}
	}
	slices.SortStableFunc(levels[1:], strings.Compare)
	for _, s := range r.Stages {
		times, held = append(times, s.From), append(held, slices.Index(levels, s.Stage))
	}
	chart, err := Timeline("Stages", times, held, levels, r.To)
	return Section{ID: "stages", Title: "Stages", Tables: []Table{table}, Charts: []Chart{chart}}, err
}

func reportHistory(entries []operator.MigrationEntry) Section {
	table := Table{Columns: []string{"When", "What", "From", "To", "Who", "Why"}, Empty: "Nothing happened."}
	for _, e := range entries {
		row := Text(day(e.At), e.Kind, e.From, e.To, e.Author, strings.TrimSpace(e.Reason+" "+e.Message))
		if strings.Contains(e.Kind, "rollback") || e.Kind == "alert" {
			row[1].State = Warn
		}
		table.Rows = append(table.Rows, row)
	}
	return Section{ID: "history", Title: "What happened", Tables: []Table{table}}
}

func reportChange(i int, c operator.ReportTransition) Section {
	s := Section{
		ID: fmt.Sprintf("change-%d", i), Title: fmt.Sprintf("%s: %s to %s", c.Entry.Kind, c.Entry.From, c.Entry.To),
		Note: fmt.Sprintf("At %s by %s. %s", day(c.Entry.At), c.Entry.Author, c.Entry.Reason),
	}
	table := Table{Columns: []string{"Signal", "Before", "After", "Change"}, Empty: "No signal was recorded around it."}
	for _, row := range c.Signals {
		change := ""
		if row.Before != nil && row.After != nil && *row.Before != 0 {
			change = fmt.Sprintf("%+.1f %%", 100*(*row.After-*row.Before)/math.Abs(*row.Before))
		}
		table.Rows = append(table.Rows, Text(row.Signal, Measured(row.Before, row.Unit), Measured(row.After, row.Unit), change))
	}
	s.Tables = []Table{table}
	if len(c.Entry.Criteria) > 0 {
		criteria := Table{Caption: "The numbers that led to it", Columns: []string{"Criterion", "State", "Value", "Limit", "Threshold"}}
		for _, k := range c.Entry.Criteria {
			criteria.Rows = append(criteria.Rows, Text(k.Name, k.State, Measured(k.Value, k.Unit), Measured(k.Limit, k.Unit), k.Threshold))
		}
		s.Tables = append(s.Tables, criteria)
	}
	return s
}

func reportSignals(signals []operator.ReportSignal) (Section, error) {
	s := Section{ID: "signals", Title: "Signals"}
	for _, signal := range signals {
		if len(signal.Points) == 0 {
			continue
		}
		times, values := make([]time.Time, len(signal.Points)), make([]float64, len(signal.Points))
		for i, p := range signal.Points {
			times[i], values[i] = p.At, p.Value
		}
		chart, err := Lines(signal.Name+" ("+signal.Unit+")", times, []Series{{Name: signal.Name, Values: values}}, formatOf(signal.Unit))
		if err != nil {
			return s, err
		}
		s.Charts = append(s.Charts, chart)
	}
	if len(s.Charts) == 0 {
		s.Note = "Nothing was recorded in this time."
	}
	return s, nil
}

// Measured shows a number in its unit; nothing where there is none.
func Measured(v *float64, unit string) string {
	if v == nil {
		return ""
	}
	return strings.TrimSpace(formatOf(unit)(*v))
}

func formatOf(unit string) Format {
	switch unit {
	case "s":
		return Seconds
	case "By":
		return Bytes
	case "1":
		return Percent
	}
	return func(v float64) string { return Number(v) + " " + unit }
}

func day(t time.Time) string { return t.UTC().Format(time.DateTime) }
