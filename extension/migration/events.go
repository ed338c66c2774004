// This file tells what happens: in the log, in a metric, and as an event in the pipeline.

package migration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Names of the events.
const (
	eventStatus    = "foundation.migration.status"
	eventEnabled   = "foundation.migration.stage_enabled"
	eventRollback  = "foundation.migration.rollback"
	eventEmergency = "foundation.migration.emergency_rollback"
	eventAlert     = "foundation.migration.alert"
)

// eventOf is the event of a kind of entry, how severe it is, and what the log calls it. Other kinds are
// in the log and the metric alone.
var eventOf = map[string]struct {
	name     string
	severity plog.SeverityNumber
	title    string
}{
	kindAdvance:   {eventEnabled, plog.SeverityNumberInfo, "Stage enabled"},
	kindRollback:  {eventRollback, plog.SeverityNumberWarn, "Stage rolled back"},
	kindFoundOff:  {eventRollback, plog.SeverityNumberWarn, "The flags of the stage were switched off by other means"},
	kindUndone:    {eventRollback, plog.SeverityNumberWarn, "An advance that did not come to its end is undone"},
	kindEmergency: {eventEmergency, plog.SeverityNumberError, "Emergency rollback"},
	kindAlert:     {eventAlert, plog.SeverityNumberError, "The migration needs a person"},
}

// herald implements teller.
type herald struct {
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	events    *extevent.Buffer
}

func (h *herald) tell(e operator.MigrationEntry) {
	h.telemetry.StagedMigrationChanges.Add(context.Background(), 1, metric.WithAttributes(attribute.String("kind", e.Kind)))
	fields := []zap.Field{
		zap.String("kind", e.Kind), zap.String("from", e.From), zap.String("to", e.To), zap.String("author", e.Author),
		zap.String("reason", e.Reason), zap.String("message", e.Message), zap.Bool("persisted", e.Persisted),
	}
	if len(e.Criteria) > 0 {
		fields = append(fields, zap.Strings("because", explain(e.Criteria)))
	}
	event, ok := eventOf[e.Kind]
	switch {
	case !ok:
		h.logger.Info("Migration", fields...)
		return
	case event.severity >= plog.SeverityNumberWarn:
		h.logger.Warn(event.title, fields...)
	default:
		h.logger.Info(event.title, fields...)
	}
	h.events.Put(extevent.Event{Name: event.name, Time: e.At, Severity: event.severity, Body: body(event.title, e), Attributes: attributes(e)})
}

func body(title string, e operator.MigrationEntry) string {
	if e.From != "" || e.To != "" {
		title += ": from " + e.From + " to " + e.To
	}
	parts := append([]string{title, e.Reason, e.Message}, explain(e.Criteria)...)
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "; ")
}

func attributes(e operator.MigrationEntry) map[string]any {
	a := map[string]any{
		"migration.kind": e.Kind, "migration.from": e.From, "migration.to": e.To, "migration.author": e.Author,
		"migration.reason": e.Reason, "migration.message": e.Message, "migration.persisted": e.Persisted,
		"migration.soak_seconds": e.Soak,
	}
	criteria := make([]any, 0, len(e.Criteria))
	for _, c := range e.Criteria {
		m := map[string]any{"name": c.Name, "signal": c.Signal, "threshold": c.Threshold, "unit": c.Unit, "state": c.State, "since": c.Since.UTC().Format(time.RFC3339Nano)}
		for key, n := range map[string]*float64{"value": c.Value, "limit": c.Limit, "baseline": c.Baseline} {
			if n != nil {
				m[key] = *n
			}
		}
		criteria = append(criteria, m)
	}
	if len(criteria) > 0 {
		a["migration.criteria"] = criteria
	}
	return a
}

// explain is a sentence for each criterion that does not hold.
func explain(criteria []operator.MigrationCriterion) []string {
	var sentences []string
	for _, c := range criteria {
		switch {
		case c.State == "ok":
		case c.Value == nil || c.Limit == nil:
			sentences = append(sentences, fmt.Sprintf("%s is %s: %s", c.Name, c.State, c.Reason))
		default:
			sentences = append(sentences, fmt.Sprintf("%s is %s: %s is %.6g %s, the limit is %.6g (%s), since %s",
				c.Name, c.State, c.Signal, *c.Value, c.Unit, *c.Limit, c.Threshold, c.Since.UTC().Format(time.RFC3339)))
		}
	}
	return sentences
}
