// This file shows the rollout as metrics, while the monitoring flag is on. Labels are names of the
// configuration alone.

package migration

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// stateNumbers are the values of the criterion_state metric.
var stateNumbers = map[string]int64{"ok": 0, "pending": 1, "breached": 2, "missing": 3}

func (m *migration) registerMetrics() error {
	t := m.telemetry
	for kind := range eventOf { // a counter that appears with its first event has no rise that an alert could see
		t.StagedMigrationChanges.Add(context.Background(), 0, metric.WithAttributes(attribute.String("kind", kind)))
	}
	return errors.Join(
		t.RegisterStagedMigrationStagesOnCallback(func(_ context.Context, o metric.Int64Observer) error {
			m.whenMonitored(func() { o.Observe(int64(m.rollout.position())) })
			return nil
		}),
		t.RegisterStagedMigrationSoakObservedCallback(func(_ context.Context, o metric.Float64Observer) error {
			m.whenMonitored(func() { o.Observe(m.rollout.snapshot().Soak.Observed.Seconds()) })
			return nil
		}),
		t.RegisterStagedMigrationSoakRequiredCallback(func(_ context.Context, o metric.Float64Observer) error {
			m.whenMonitored(func() { o.Observe(m.rollout.stages.soak(m.rollout.position()).Seconds()) })
			return nil
		}),
		t.RegisterStagedMigrationCriterionStateCallback(func(_ context.Context, o metric.Int64Observer) error {
			m.eachCriterion(func(c operator.MigrationCriterion, name metric.MeasurementOption) {
				o.Observe(stateNumbers[c.State], name)
			})
			return nil
		}),
		t.RegisterStagedMigrationCriterionValueCallback(func(_ context.Context, o metric.Float64Observer) error {
			m.eachCriterion(func(c operator.MigrationCriterion, name metric.MeasurementOption) {
				if c.Value != nil {
					o.Observe(*c.Value, name)
				}
			})
			return nil
		}),
		t.RegisterStagedMigrationCriterionLimitCallback(func(_ context.Context, o metric.Float64Observer) error {
			m.eachCriterion(func(c operator.MigrationCriterion, name metric.MeasurementOption) {
				if c.Limit != nil {
					o.Observe(*c.Limit, name)
				}
			})
			return nil
		}),
		t.RegisterStagedMigrationAlertsCallback(func(_ context.Context, o metric.Int64Observer) error {
			m.whenMonitored(func() {
				for name, raised := range m.watch.alerts.states() {
					o.Observe(raised, metric.WithAttributes(attribute.String("alert", name)))
				}
			})
			return nil
		}),
	)
}

func (m *migration) whenMonitored(observe func()) {
	if m.monitored.Enabled() {
		observe()
	}
}

func (m *migration) eachCriterion(observe func(operator.MigrationCriterion, metric.MeasurementOption)) {
	m.whenMonitored(func() {
		for _, c := range m.watch.views() {
			observe(c, metric.WithAttributes(attribute.String("criterion", c.Name)))
		}
	})
}
