// This file is the users' rollout: five stages (the fourth in two parts), the signals that their runbook
// has people watch, and its limits.

package migration

import "time"

func defaultStages() []StageConfig {
	return []StageConfig{
		{
			ID: "1", Name: "monitoring", Risk: "low", Soak: 4 * time.Hour,
			Description: "migration metrics and status events",
			Flags:       []string{"enable_migration_monitoring"},
		},
		{
			ID: "2", Name: "registry", Risk: "medium", Soak: 24 * time.Hour,
			Description: "the agent registry answers reads; before, it only recorded registrations",
			Flags:       []string{"use_ets_agent_registry"},
		},
		{
			ID: "3", Name: "error_context", Risk: "low", Soak: 24 * time.Hour,
			Description: "logs gain the context of the open spans that they were written in",
			Flags:       []string{"use_logger_error_context"},
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
		},
		{
			ID: "5", Name: "enforcement", Risk: "high", Soak: 48 * time.Hour, PreviousSoak: 72 * time.Hour,
			Description: "records of the old code path are refused at the receiver",
			Flags:       []string{"enforce_no_process_dict"},
		},
	}
}

func defaultSignals() map[string]SignalConfig { return map[string]SignalConfig{} }

func defaultCriteria() map[string]CriterionConfig { return map[string]CriterionConfig{} }
