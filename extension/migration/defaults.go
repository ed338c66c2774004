// This file is the users' rollout: five stages (the fourth in two parts) with what the runbook watches in each.

package migration

import "time"

func defaultStages() []StageConfig {
	return []StageConfig{
		{
			ID: "1", Name: "monitoring", Risk: "low", Soak: 4 * time.Hour,
			Description: "migration metrics and status events",
			Flags:       []string{"enable_migration_monitoring"},
			Guard: []string{
				"error_rate", "error_share", "restarts", "process_count", "response_time", "log_patterns",
				"registry_memory", "event_dedup_memory", "open_spans_memory", "memory_growth",
			},
		},
		{
			ID: "2", Name: "registry", Risk: "medium", Soak: 24 * time.Hour,
			Description: "the agent registry answers reads; before, it only recorded registrations",
			Flags:       []string{"use_ets_agent_registry"},
			Guard:       []string{"registry_p99"},
			Exit:        []string{"registry_p99_target", "registry_not_found", "registry_table"},
		},
		{
			ID: "3", Name: "error_context", Risk: "low", Soak: 24 * time.Hour,
			Description: "logs gain the context of the open spans that they were written in",
			Flags:       []string{"use_logger_error_context"},
			Exit:        []string{"context_time"},
		},
		{
			ID: "4a", Name: "spans", Risk: "high", Soak: 24 * time.Hour,
			Description: "span stacks, forced ends and timeouts are kept by the agent",
			Flags:       []string{"use_genserver_telemetry", "use_genserver_span_management"},
		},
		{
			ID: "4b", Name: "events", Risk: "high", Soak: 24 * time.Hour,
			Description: "events are deduplicated, sampled and batched",
			Flags:       []string{"use_ets_sampled_events"},
			Exit:        []string{"violations"},
		},
		{
			ID: "5", Name: "enforcement", Risk: "high", Soak: 48 * time.Hour, PreviousSoak: 72 * time.Hour,
			Description: "records of the old code path are refused at the receiver",
			Flags:       []string{"enforce_no_process_dict"},
			Guard:       []string{"violations"},
		},
	}
}
