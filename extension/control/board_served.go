// This file holds the sections about what extensions serve: stages, criteria, history, flags, agents, spans.

package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

// listShown bounds the lists of the page.
const listShown = "50"

func stagesPart(ctx context.Context, b *board) (page.Section, bool, error) {
	var m operator.MigrationStatus
	if !b.read(ctx, "/v1/migration", &m) {
		return page.Section{}, true, nil
	}
	s := page.Section{ID: "stages", Title: "Stages", Facts: []page.Fact{
		{Name: "Stage", Value: m.Stage},
		{Name: "Next", Value: orNone(m.Next)},
		{Name: "Observed in this stage", Value: page.Seconds(m.Soak.Observed) + " of " + page.Seconds(m.Soak.Required)},
		{Name: "Baseline", Value: orNone(m.Baseline)},
	}}
	if m.Soak.Paused != "" {
		s.Facts = append(s.Facts, page.Fact{Name: "Soak stands still", Value: m.Soak.Paused, State: page.Warn})
	}
	if !m.Durable {
		s.Facts = append(s.Facts, page.Fact{Name: "Not stored", Value: m.StorageErr, State: page.Bad})
	}
	for _, alert := range m.Alerts {
		s.Facts = append(s.Facts, page.Fact{Name: "Alert", Value: alert, State: page.Bad})
	}
	table := page.Table{Columns: []string{"Stage", "Name", "State", "Risk", "Soak", "Flags"}}
	for _, stage := range m.Stages {
		row := page.Text(stage.ID, stage.Name, stage.State, stage.Risk, page.Seconds(stage.SoakRequired), strings.Join(stage.Flags, ", "))
		row[2].State = stateOf(stage.State, map[string]page.State{"on": page.Good, "partly": page.Bad})
		table.Rows = append(table.Rows, row)
	}
	s.Tables = []page.Table{table}
	return s, false, nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func stateOf(word string, states map[string]page.State) page.State { return states[word] }

func criteriaPart(ctx context.Context, b *board) (page.Section, bool, error) {
	var m operator.MigrationStatus
	if !b.read(ctx, "/v1/migration", &m) {
		return page.Section{}, true, nil
	}
	table := page.Table{
		Columns: []string{"Criterion", "State", "Value", "Threshold", "Limit", "Since", "On a breach"},
		Empty:   "No criterion is configured.",
	}
	for _, c := range m.Criteria {
		row := page.Text(c.Name, c.State, measured(c.Value, c.Unit), c.Threshold, measured(c.Limit, c.Unit), clock(c.Since), c.Action)
		row[1].State = stateOf(c.State, map[string]page.State{"ok": page.Good, "pending": page.Warn, "missing": page.Warn, "breached": page.Bad})
		if c.Reason != "" {
			row[2].Text = c.Reason
		}
		table.Rows = append(table.Rows, row)
	}
	return page.Section{ID: "criteria", Title: "Guard", Tables: []page.Table{table}}, false, nil
}

func measured(v *float64, unit string) string {
	switch {
	case v == nil:
		return ""
	case unit == "s":
		return page.Seconds(*v)
	case unit == "By":
		return page.Bytes(*v)
	case unit == "1":
		return page.Percent(*v)
	}
	return page.Number(*v) + " " + strings.Trim(unit, "{}") // UCUM's annotations are in braces
}

func historyPart(ctx context.Context, b *board) (page.Section, bool, error) {
	var h operator.MigrationHistory
	if !b.read(ctx, "/v1/migration/history?limit="+listShown, &h) {
		return page.Section{}, true, nil
	}
	table := page.Table{Columns: []string{"When", "What", "From", "To", "Who", "Why"}, Empty: "Nothing has happened yet."}
	for _, e := range slices.Backward(h.Entries) {
		row := page.Text(clock(e.At), e.Kind, e.From, e.To, e.Author, strings.TrimSpace(e.Reason+" "+e.Message))
		if strings.Contains(e.Kind, "rollback") {
			row[1].State = page.Warn
		}
		table.Rows = append(table.Rows, row)
	}
	chart, err := stageTimeline(ctx, b, h.Entries)
	return page.Section{ID: "history", Title: "History", Tables: []page.Table{table}, Charts: []page.Chart{chart}}, false, err
}

// stageTimeline draws which stage was on when, as far back as the shown history goes.
func stageTimeline(ctx context.Context, b *board, entries []operator.MigrationEntry) (page.Chart, error) {
	var m operator.MigrationStatus
	b.read(ctx, "/v1/migration", &m)
	ids, levels := []string{"none"}, []string{"none"}
	for _, stage := range m.Stages {
		ids, levels = append(ids, stage.ID), append(levels, stage.ID+" "+stage.Name)
	}
	var times []time.Time
	var held []int
	for _, e := range entries {
		if to := slices.Index(ids, e.To); to >= 0 {
			times, held = append(times, e.At), append(held, to)
		}
	}
	return page.Timeline("Stages", times, held, levels, time.Now())
}

func flagsPart(ctx context.Context, b *board) (page.Section, bool, error) {
	var v struct{ Flags []operator.Flag }
	if !b.read(ctx, "/v1/flags", &v) {
		return page.Section{}, true, nil
	}
	table := page.Table{Columns: []string{"Flag", "Value", "File says", "Override", "Why", "Bound"}}
	for _, f := range v.Flags {
		row := page.Text(f.Name, valueText(f.Value), valueText(f.FileValue), "", "", "")
		if on, ok := f.Value.(bool); ok && on {
			row[1].State = page.Good
		}
		if o := f.Override; o != nil {
			row[3] = page.Cell{Text: o.Kind + " by " + o.Author, State: page.Warn}
			row[4].Text = o.Reason
		}
		if f.Bound {
			row[5].Text = "yes"
		}
		table.Rows = append(table.Rows, row)
	}
	return page.Section{ID: "flags", Title: "Flags", Tables: []page.Table{table}}, false, nil
}

// valueText shows a flag's value as JSON, which is how the file has it.
func valueText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

func agentsPart(ctx context.Context, b *board) (page.Section, bool, error) {
	var v struct {
		Agents []agents.Agent
		Total  int
		Shadow bool
	}
	if !b.read(ctx, "/v1/agents?shadow=true&limit="+listShown, &v) {
		return page.Section{}, true, nil
	}
	s := page.Section{ID: "agents", Title: "Agents", Note: shown(len(v.Agents), v.Total)}
	if v.Shadow {
		s.Note += " The registry is recorded in shadow: applications do not see it."
	}
	table := page.Table{Columns: []string{"Agent", "State", "Health", "Process", "Within", "Endpoint", "Registered"}, Empty: "No agent is registered."}
	for _, a := range v.Agents {
		row := page.Text(a.ID, a.State, a.Health, fmt.Sprint(a.PID), fmt.Sprint(len(a.Processes)), a.Endpoint, clock(a.RegisteredAt))
		row[1].State = stateOf(a.State, map[string]page.State{agents.StateUp: page.Good, agents.StateUnresponsive: page.Bad})
		table.Rows = append(table.Rows, row)
	}
	s.Tables = []page.Table{table}
	return s, false, nil
}

func spansPart(ctx context.Context, b *board) (page.Section, bool, error) {
	var v operator.OpenSpans
	if !b.read(ctx, "/v1/spans?limit="+listShown, &v) {
		return page.Section{}, true, nil
	}
	table := page.Table{Columns: []string{"Span", "Agent", "Process", "Started", "Trace", "Id"}, Empty: "No span is open."}
	for _, span := range v.Spans {
		started := span.StartedAt.UTC().Format(time.DateTime)
		if span.Waiting {
			started = "waits for its start"
		}
		table.Rows = append(table.Rows, page.Text(span.Name, span.AgentID, span.Process, started, span.TraceID, span.SpanID))
	}
	return page.Section{ID: "spans", Title: "Open spans", Note: shown(len(v.Spans), v.Total), Tables: []page.Table{table}}, false, nil
}

func shown(listed, total int) string {
	if listed == total {
		return fmt.Sprintf("%d in all.", total)
	}
	return fmt.Sprintf("The first %d of %d.", listed, total)
}
