// This file tells regularly where the rollout stands, as an event, while the monitoring flag is on.

package migration

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/extevent"
)

// tellStatus puts a status event into the pipeline at each interval, and at once when the flag comes on.
func (m *migration) tellStatus(ctx context.Context) {
	turned := make(chan struct{}, 1)
	stop := m.monitored.OnChange(func(bool) {
		select {
		case turned <- struct{}{}:
		default:
		}
	})
	defer stop()
	ticker := time.NewTicker(m.cfg.StatusInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-turned:
		case <-ticker.C:
		}
		m.whenMonitored(m.putStatus)
	}
}

func (m *migration) putStatus() {
	s := m.status()
	states := map[string]any{}
	for _, c := range s.Criteria {
		if c.Guards || c.Exit {
			states[c.Name] = c.State
		}
	}
	flags := map[string]any{}
	for name, on := range s.Flags {
		flags[name] = on
	}
	m.events.Put(extevent.Event{
		Name: eventStatus, Time: s.At, Severity: plog.SeverityNumberInfo,
		Body: fmt.Sprintf("stage %s, observed for %s of %s", s.Stage, seconds(s.Soak.Observed), seconds(s.Soak.Required)),
		Attributes: map[string]any{
			"migration.stage": s.Stage, "migration.next": s.Next, "migration.soak_seconds": s.Soak.Observed,
			"migration.soak_required_seconds": s.Soak.Required, "migration.soak_paused": s.Soak.Paused,
			"migration.flags": flags, "migration.criteria": states, "migration.durable": s.Durable,
		},
	})
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}
