// This file is what the runbook has people watch, as signals, and its targets and alerts, as criteria.
// Vitals are named as the clients send them with their heartbeats.

package migration

import (
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
)

func defaultSignals() map[string]SignalConfig {
	get := map[string]string{"operation": "get"}
	return map[string]SignalConfig{
		"registry_lookup_p50": {Metric: "otelcol_agent_registry_operation_duration", Labels: get, Stat: "p50", Unit: "s", Description: "lookups of the registry"},
		"registry_lookup_p95": {Metric: "otelcol_agent_registry_operation_duration", Labels: get, Stat: "p95", Unit: "s", Description: "lookups of the registry"},
		"registry_lookup_p99": {Metric: "otelcol_agent_registry_operation_duration", Labels: get, Stat: "p99", Unit: "s", Description: "lookups of the registry"},
		"registry_not_found": {
			Metric: "otelcol_agent_registry_operations", Labels: map[string]string{"operation": "get", "outcome": "not_found"},
			Stat: "rate", Unit: "{operation}/s", Description: "lookups that found nothing",
		},
		"registry_entries":  {Metric: "otelcol_agent_registry_entries", Unit: "{agent}", Description: "registered agents"},
		"registry_bytes":    {Metric: "otelcol_agent_registry_bytes", Unit: "By", Description: "memory of the registry"},
		"event_dedup_bytes": {Metric: "otelcol_event_dedup_bytes", Unit: "By", Description: "memory of event_dedup's tables"},
		"open_spans_bytes":  {Metric: "otelcol_open_spans_bytes", Unit: "By", Description: "memory of the table of open spans"},
		"agent_memory":      {Metric: "otelcol_process_memory_rss", Unit: "By", Description: "resident memory of the agent"},
		"memory_growth": {
			Metric: "otelcol_process_runtime_heap_alloc_bytes", Stat: "growth_per_hour", Window: 6 * time.Hour, Unit: "By/h",
			Description: "slope of the agent's live memory",
		},
		"events": {Metric: "otelcol_foundation_events_accepted", Stat: "rate", Unit: "{event}/s", Description: "events accepted"},
		"records": {
			Metric: "otelcol_span_lifecycle_records", Stat: "rate", Unit: "{record}/s",
			Description: "log records, events among them, and spans, before dedup, less what the agent adds",
		},
		"errors": {
			Metric: "otelcol_span_lifecycle_errors", Stat: "rate", Unit: "{record}/s",
			Description: "those of severity ERROR and above, or of status Error",
		},
		"error_share": {Stat: "ratio", Dividend: "errors", Divisor: "records", Unit: "1", Description: "errors among the records"},
		"restarts": {
			Metric: "otelcol_agent_registry_deaths", Stat: "increase", Window: time.Minute, Unit: "{death}",
			Description: "agents and processes within them that went down in a minute",
		},
		"log_patterns": {
			Metric: "otelcol_span_lifecycle_matches", Stat: "increase", Unit: "{record}",
			Description: "log records in which span_lifecycle finds a pattern: undefined function, table not found, call timeout",
		},
		"violations": {
			Metric: "otelcol_foundation_violations", Stat: "increase", Window: time.Hour, Unit: "{record}",
			Description: "records of the old code path",
		},
		"process_count": {Source: vitalsSource, Metric: "process_count", Unit: "{process}", Description: "processes of all registered agents"},
		"memory":        {Source: vitalsSource, Metric: "memory_bytes", Unit: "By", Description: "memory of all registered agents"},
		"table_memory":  {Source: vitalsSource, Metric: "table_memory_bytes", Unit: "By", Description: "memory of the tables within all registered agents"},
		"response_time": {Source: vitalsSource, Metric: "response_time_seconds", Stat: "mean", Unit: "s", Description: "response time as the agents measure it"},
		"context_time":  {Source: vitalsSource, Metric: "context_seconds", Stat: "mean", Unit: "s", Description: "what setting an error context costs the caller"},
	}
}

// defaultCriteria pass where nothing is known: not every system has every number, and one without
// lookups has no slow ones. A source that cannot be read stops the soak all the same.
func defaultCriteria() map[string]CriterionConfig {
	const minute = time.Minute
	criteria := map[string]CriterionConfig{
		// Alerts of the runbook: they roll back.
		"registry_p99":  {Signal: "registry_lookup_p99", Threshold: "< 10ms", For: 2 * minute},
		"error_rate":    {Signal: "errors", Threshold: "+20 %", AtLeast: "0.1", For: 5 * minute},
		"process_count": {Signal: "process_count", Threshold: "+50 %", For: 5 * minute},
		// Alerts of the users' library.
		"error_share":   {Signal: "error_share", Threshold: "< 5 %", For: 2 * minute},
		"restarts":      {Signal: "restarts", Threshold: "<= 10", For: minute},
		"response_time": {Signal: "response_time", Threshold: "+100 %", For: 2 * minute},
		"log_patterns":  {Signal: "log_patterns", Threshold: "< 1"},
		// Tables, each.
		"registry_memory":    {Signal: "registry_bytes", Threshold: "< 500MB", For: minute},
		"event_dedup_memory": {Signal: "event_dedup_bytes", Threshold: "< 500MB", For: minute},
		"open_spans_memory":  {Signal: "open_spans_bytes", Threshold: "< 500MB", For: minute},
		// Targets of the runbook: they hold the next stage up.
		"registry_p99_target": {Signal: "registry_lookup_p99", Threshold: "< 5ms", For: 5 * minute, Action: ActionAlert},
		"registry_not_found":  {Signal: "registry_not_found", Threshold: "+20 %", AtLeast: "1", For: 5 * minute, Action: ActionAlert},
		"registry_table":      {Signal: "registry_bytes", Threshold: "< 10MB", For: 5 * minute, Action: ActionAlert},
		"context_time":        {Signal: "context_time", Threshold: "< 100us", For: 5 * minute, Action: ActionAlert},
		"memory_growth":       {Signal: "memory_growth", Threshold: "< 1MB/h", For: 30 * minute, Action: ActionAlert},
		"violations":          {Signal: "violations", Threshold: "< 1", Action: ActionAlert},
	}
	for name, c := range criteria {
		c.Missing, c.KeepFiringFor = guard.Pass, 5*minute
		criteria[name] = c
	}
	return criteria
}
