package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"golang.org/x/sys/unix"

	"github.com/foundation-agent/foundation-agent/extension/openspans"
	"github.com/foundation-agent/foundation-agent/processor/dedup"
)

// refuseOverCommit refuses tables that may grow beyond the soft limit of the memory limiter: at that limit
// it refuses ends as well as starts, and a full table would never empty again.
func refuseOverCommit(conf *confmap.Conf) error {
	var limit int64
	var limiter string
	for id, sub := range used(conf, "processors", "memory_limiter") {
		cfg := memorylimiterprocessor.NewFactory().CreateDefaultConfig().(*memorylimiterprocessor.Config)
		if err := sub.Unmarshal(cfg); err != nil {
			return fmt.Errorf("processors::%s: %w", id, err)
		}
		if soft := softLimit(cfg); limiter == "" || soft < limit {
			limit, limiter = soft, id
		}
	}
	if limiter == "" {
		return nil
	}
	var sum int64
	var parts []string
	add := func(key string, bytes int64) {
		sum += bytes
		parts = append(parts, fmt.Sprintf("%s (%d MiB)", key, bytes>>20))
	}
	for id, sub := range used(conf, "extensions", "open_spans") {
		cfg := openspans.NewFactory().CreateDefaultConfig().(*openspans.Config)
		if err := sub.Unmarshal(cfg); err != nil {
			return fmt.Errorf("extensions::%s: %w", id, err)
		}
		add("extensions::"+id+"::max_mib", int64(cfg.MaxMiB)<<20)
	}
	for id, sub := range used(conf, "processors", "event_dedup") {
		cfg := dedup.NewFactory().CreateDefaultConfig().(*dedup.Config)
		if err := sub.Unmarshal(cfg); err != nil {
			return fmt.Errorf("processors::%s: %w", id, err)
		}
		add("processors::"+id+"::max_bytes", cfg.MaxBytes)
	}
	if sum <= limit {
		return nil
	}
	slices.Sort(parts)
	return fmt.Errorf("%s may together grow beyond the soft limit of processors::%s (%d MiB, its limit less its spike limit): lower them or raise the limit",
		strings.Join(parts, " and "), limiter, limit>>20)
}

// used are the components of a type that the service runs, by id, with their configuration.
func used(conf *confmap.Conf, section, kind string) map[string]*confmap.Conf {
	found := map[string]*confmap.Conf{}
	configured, _ := conf.Get(section).(map[string]any)
	for id := range configured {
		var parsed component.ID
		if parsed.UnmarshalText([]byte(id)) != nil || parsed.Type().String() != kind || !inService(conf, section, id) {
			continue
		}
		sub, err := conf.Sub(section + "::" + id)
		if err != nil { // `id:` alone, all at its default
			sub = confmap.New()
		}
		found[id] = sub
	}
	return found
}

// inService reports whether the service or one of its pipelines lists a component.
func inService(conf *confmap.Conf, section, id string) bool {
	if section == "extensions" {
		return lists(conf.Get("service::extensions"), id)
	}
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for name := range pipelines {
		if lists(conf.Get("service::pipelines::"+name+"::"+section), id) {
			return true
		}
	}
	return false
}

func lists(ids any, id string) bool {
	listed, _ := ids.([]any)
	return slices.ContainsFunc(listed, func(one any) bool { return fmt.Sprint(one) == id })
}

// softLimit is where the memory limiter begins to refuse, in bytes.
func softLimit(cfg *memorylimiterprocessor.Config) int64 {
	if cfg.MemoryLimitMiB > 0 {
		spike := int64(cfg.MemorySpikeLimitMiB)
		if spike == 0 {
			spike = int64(cfg.MemoryLimitMiB) / 5 // the limiter's own default
		}
		return (int64(cfg.MemoryLimitMiB) - spike) << 20
	}
	percentage := int64(cfg.MemoryLimitPercentage) - int64(cfg.MemorySpikePercentage)
	return totalMemory() / 100 * percentage
}

// totalMemory is the memory that this process may use: its cgroup's limit (cgroup v2), or the machine's.
func totalMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	total := int64(info.Totalram) * int64(info.Unit)
	raw, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return total
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil { // "max"
		return total
	}
	return min(total, limit)
}
