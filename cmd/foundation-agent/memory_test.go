package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestTablesStayBelowTheMemoryLimit(t *testing.T) {
	conf := func(limiter, table, dedup map[string]any) *confmap.Conf {
		return confmap.NewFromStringMap(map[string]any{
			"processors": map[string]any{"memory_limiter": limiter, "event_dedup/a": dedup},
			"extensions": map[string]any{"open_spans": table, "open_spans/unused": map[string]any{"max_mib": 100_000}},
			"service": map[string]any{
				"extensions": []any{"open_spans"},
				"pipelines":  map[string]any{"logs": map[string]any{"processors": []any{"memory_limiter", "event_dedup/a"}}},
			},
		})
	}
	mib := func(limit, spike int) map[string]any {
		return map[string]any{"limit_mib": limit, "spike_limit_mib": spike}
	}
	require.NoError(t, refuseOverCommit(conf(mib(400, 80), nil, nil)), "256 and 64 MiB by default")
	err := refuseOverCommit(conf(mib(399, 80), nil, nil))
	require.ErrorContains(t, err, "extensions::open_spans::max_mib (256 MiB) and processors::event_dedup/a::max_bytes (64 MiB)")
	require.ErrorContains(t, err, "processors::memory_limiter (319 MiB")
	require.NoError(t, refuseOverCommit(conf(mib(200, 0), map[string]any{"max_mib": 100}, map[string]any{"max_bytes": 60 << 20})), "spike limit 20 % by default")
	require.NoError(t, refuseOverCommit(confmap.NewFromStringMap(map[string]any{})), "no limiter, no limit")
	require.Error(t, refuseOverCommit(conf(map[string]any{"limit_percentage": 1}, map[string]any{"max_mib": 1 << 20}, nil)))
}
