// This file makes the report of a time: which stage was on when, what happened, and what the signals were
// like before and after each change.

package migration

import (
	"maps"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/series"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// around is how far before and after a change signals are looked at.
const around = time.Hour

func (m *migration) report(from, to time.Time) operator.MigrationReport {
	before := m.rollout.entries(time.Time{}, from)
	entries := m.rollout.entries(from, to)
	points := m.series.Between(from, to)
	return operator.MigrationReport{
		From: from.UTC(), To: to.UTC(), History: entries,
		Stages:  stageTimes(before, entries, from, to),
		Signals: m.reportSignals(points),
		Changes: m.transitions(entries),
	}
}

// changesStage reports whether an entry is a change of the stage that is on.
func changesStage(e operator.MigrationEntry) bool {
	switch e.Kind {
	case kindAdvance, kindRollback, kindEmergency, kindFoundOff:
		return true
	}
	return false
}

// stageTimes cuts a time where the stage changed.
func stageTimes(before, entries []operator.MigrationEntry, from, to time.Time) []operator.ReportStage {
	current := operator.ReportStage{Stage: noStage, From: from.UTC()}
	for _, e := range slices.Backward(before) {
		if changesStage(e) {
			current.Stage = e.To
			break
		}
	}
	times := []operator.ReportStage{}
	for _, e := range entries {
		if !changesStage(e) {
			continue
		}
		current.To, current.Left = e.At, e.Kind
		times = append(times, current)
		current = operator.ReportStage{Stage: e.To, From: e.At}
	}
	current.To = to.UTC()
	return append(times, current)
}

func (m *migration) reportSignals(points []series.Point) []operator.ReportSignal {
	signals := make([]operator.ReportSignal, 0, len(m.cfg.Signals))
	for _, name := range slices.Sorted(maps.Keys(m.cfg.Signals)) {
		s := operator.ReportSignal{Name: name, Unit: m.cfg.Signals[name].Unit, Points: []operator.ReportPoint{}}
		for _, p := range points {
			if value, ok := p.Values[name]; ok {
				s.Points = append(s.Points, operator.ReportPoint{At: p.At, Value: value})
			}
		}
		signals = append(signals, s)
	}
	return signals
}

// transitions gives each change of stage with its signals before and after, up to the neighbouring changes.
func (m *migration) transitions(entries []operator.MigrationEntry) []operator.ReportTransition {
	changes := slices.DeleteFunc(slices.Clone(entries), func(e operator.MigrationEntry) bool { return !changesStage(e) })
	result := make([]operator.ReportTransition, 0, len(changes))
	for i, e := range changes {
		begin, end := e.At.Add(-around), e.At.Add(around)
		if i > 0 && changes[i-1].At.After(begin) {
			begin = changes[i-1].At
		}
		if i+1 < len(changes) && changes[i+1].At.Before(end) {
			end = changes[i+1].At
		}
		before, after := means(m.series.Between(begin, e.At)), means(m.series.Between(e.At, end))
		t := operator.ReportTransition{Entry: e, Signals: []operator.ReportBeforeAndAfter{}}
		for _, name := range slices.Sorted(maps.Keys(m.cfg.Signals)) {
			row := operator.ReportBeforeAndAfter{Signal: name, Unit: m.cfg.Signals[name].Unit}
			row.Before, row.After = before[name], after[name]
			if row.Before != nil || row.After != nil {
				t.Signals = append(t.Signals, row)
			}
		}
		result = append(result, t)
	}
	return result
}

// means of each signal over points.
func means(points []series.Point) map[string]*float64 {
	sums, counts := map[string]float64{}, map[string]float64{}
	for _, p := range points {
		for name, value := range p.Values {
			sums[name] += value
			counts[name]++
		}
	}
	found := map[string]*float64{}
	for name, n := range counts {
		mean := sums[name] / n
		found[name] = &mean
	}
	return found
}
