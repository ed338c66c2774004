package registry

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
)

// Config of the agent registry.
type Config struct {
	// Storage is the storage extension that keeps the entries; without one they live in memory alone.
	Storage *component.ID `mapstructure:"storage"`
	// WriteInterval is how often what changed is written: what changed longer ago survives kill -9.
	// A registration is written before it is answered.
	WriteInterval time.Duration `mapstructure:"write_interval"`

	// Flags is the feature_flags extension; without one the registry is on.
	Flags *component.ID `mapstructure:"flags"`
	// Flag is the name of the flag. Off: writes are recorded in shadow, reads answer registry_disabled.
	Flag string `mapstructure:"flag"`

	// OnConflict says what happens when another process registers an id that is taken.
	OnConflict string `mapstructure:"on_conflict"`

	Lease    LeaseConfig    `mapstructure:"lease"`
	Endpoint EndpointConfig `mapstructure:"endpoint"`
	Downs    DownsConfig    `mapstructure:"downs"`
	Limits   LimitsConfig   `mapstructure:"limits"`

	// HTTP is an endpoint of the registry's own, beside the door that it is mounted on. Off by default.
	HTTP configoptional.Optional[confighttp.ServerConfig] `mapstructure:"http"`
	// OpAMP is an endpoint for OpAMP clients, by WebSocket and plain HTTP, at /v1/opamp. Off by default.
	OpAMP configoptional.Optional[OpAMPConfig] `mapstructure:"opamp"`
}

// OpAMPConfig is where OpAMP clients connect, and what they may send.
type OpAMPConfig struct {
	// Server is named, not embedded: its own Unmarshal would read the other keys as well.
	Server confighttp.ServerConfig `mapstructure:",squash"`
	// MaxMessageBytes bounds one message.
	MaxMessageBytes int64 `mapstructure:"max_message_bytes"`
	// MaxConnections bounds open WebSockets.
	MaxConnections int `mapstructure:"max_connections"`
	// Lease is how long a client may be silent over plain HTTP, or on a WebSocket if it promised heartbeats.
	Lease time.Duration `mapstructure:"lease"`
}

// Values of OnConflict.
const (
	conflictTakeOver = "take_over" // the newcomer gets the id, if it is proven at least as well as the holder
	conflictRefuse   = "refuse"    // the holder keeps the id as long as it lives
)

// LeaseConfig bounds the time within which an agent must be heard of.
type LeaseConfig struct {
	// Default is for agents that name none and whose end the kernel does not tell.
	Default time.Duration `mapstructure:"default"`
	// Min and Max bound what an agent may ask for.
	Min time.Duration `mapstructure:"min"`
	Max time.Duration `mapstructure:"max"`
}

// EndpointConfig bounds what an agent may announce as its own endpoint.
type EndpointConfig struct {
	// AllowedPorts are ports ("9464") and ranges ("9000-9999").
	AllowedPorts []string `mapstructure:"allowed_ports"`
}

// DownsConfig says what is kept of deaths, and how fast they are told.
type DownsConfig struct {
	// Keep is how many deaths are kept, KeepFor how long, for those who begin to watch later.
	Keep    int           `mapstructure:"keep"`
	KeepFor time.Duration `mapstructure:"keep_for"`
	// PerSecond is how many deaths are told in a second when many come at once.
	PerSecond int `mapstructure:"per_second"`
}

// LimitsConfig bounds what is held. What goes beyond is refused with an error that names the limit.
type LimitsConfig struct {
	MaxEntries        int   `mapstructure:"max_entries"`
	MaxEntriesPerUID  int   `mapstructure:"max_entries_per_uid"` // callers over TCP share one account
	MaxBytes          int64 `mapstructure:"max_bytes"`           // estimated memory of all entries
	MaxBodyBytes      int64 `mapstructure:"max_body_bytes"`      // of one request
	MaxLabels         int   `mapstructure:"max_labels"`
	MaxLabelBytes     int   `mapstructure:"max_label_bytes"`    // of one label, key and value
	MaxMetadataBytes  int   `mapstructure:"max_metadata_bytes"` // of one agent
	MaxMetadataDepth  int   `mapstructure:"max_metadata_depth"`
	MaxVitals         int   `mapstructure:"max_vitals"`    // numbers of one agent
	MaxProcesses      int   `mapstructure:"max_processes"` // within one agent
	MaxWatchers       int   `mapstructure:"max_watchers"`  // streams
	MaxWatchersPerUID int   `mapstructure:"max_watchers_per_uid"`
	WatcherBuffer     int   `mapstructure:"watcher_buffer"` // events that may wait for one stream
}

const defaultFlag = "use_ets_agent_registry"

func createDefaultConfig() component.Config {
	return &Config{
		WriteInterval: 200 * time.Millisecond,
		Flag:          defaultFlag,
		OnConflict:    conflictTakeOver,
		Lease:         LeaseConfig{Default: 30 * time.Second, Min: time.Second, Max: 24 * time.Hour},
		Endpoint:      EndpointConfig{AllowedPorts: []string{"1024-65535"}},
		Downs:         DownsConfig{Keep: 1024, KeepFor: 10 * time.Minute, PerSecond: 500},
		Limits: LimitsConfig{
			MaxEntries:        20_000,
			MaxEntriesPerUID:  10_000,
			MaxBytes:          64 << 20,
			MaxBodyBytes:      256 << 10,
			MaxLabels:         64,
			MaxLabelBytes:     1 << 10,
			MaxMetadataBytes:  16 << 10,
			MaxMetadataDepth:  16,
			MaxVitals:         64,
			MaxProcesses:      1024,
			MaxWatchers:       256,
			MaxWatchersPerUID: 64,
			WatcherBuffer:     1024,
		},
		HTTP: configoptional.Default(defaultServer("localhost:4323")),
		OpAMP: configoptional.Default(OpAMPConfig{
			Server:          defaultServer("localhost:4320"),
			MaxMessageBytes: 1 << 20,
			MaxConnections:  1000,
			Lease:           90 * time.Second, // three of opamp-go's heartbeats
		}),
	}
}

func defaultServer(endpoint string) confighttp.ServerConfig {
	c := confighttp.NewDefaultServerConfig()
	c.NetAddr.Endpoint = endpoint
	return c
}

// Validate names each wrong key, its value, and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v is not allowed: %s", key, value, allowed))
	}
	if c.OnConflict != conflictTakeOver && c.OnConflict != conflictRefuse {
		wrong("on_conflict", strconv.Quote(c.OnConflict), conflictTakeOver+" or "+conflictRefuse)
	}
	if c.Flags != nil && c.Flag == "" {
		wrong("flag", `""`, "the name of a boolean flag, as flags is set")
	}
	if c.WriteInterval < 10*time.Millisecond {
		wrong("write_interval", c.WriteInterval, "10ms or more")
	}
	if c.Lease.Min < minLease {
		wrong("lease::min", c.Lease.Min, fmt.Sprintf("%v or more", minLease))
	}
	if c.Lease.Max < c.Lease.Min {
		wrong("lease::max", c.Lease.Max, fmt.Sprintf("lease::min (%v) or more", c.Lease.Min))
	}
	if c.Lease.Default < c.Lease.Min || c.Lease.Default > c.Lease.Max {
		wrong("lease::default", c.Lease.Default, fmt.Sprintf("from lease::min (%v) to lease::max (%v)", c.Lease.Min, c.Lease.Max))
	}
	if _, err := parsePorts(c.Endpoint.AllowedPorts); err != nil {
		errs = append(errs, fmt.Errorf("endpoint::allowed_ports: %w", err))
	}
	if c.Downs.KeepFor < 0 {
		wrong("downs::keep_for", c.Downs.KeepFor, "0 or more")
	}
	if o := c.OpAMP.Get(); o != nil {
		if o.MaxMessageBytes < 1024 {
			wrong("opamp::max_message_bytes", o.MaxMessageBytes, "1024 or more")
		}
		if o.MaxConnections < 1 {
			wrong("opamp::max_connections", o.MaxConnections, "1 or more")
		}
		if o.Lease < minLease {
			wrong("opamp::lease", o.Lease, fmt.Sprintf("%v or more", minLease))
		}
	}
	for _, n := range []struct {
		key   string
		value int64
		least int64
	}{
		{"downs::keep", int64(c.Downs.Keep), 0},
		{"downs::per_second", int64(c.Downs.PerSecond), 1},
		{"limits::max_entries", int64(c.Limits.MaxEntries), 1},
		{"limits::max_entries_per_uid", int64(c.Limits.MaxEntriesPerUID), 1},
		{"limits::max_bytes", c.Limits.MaxBytes, 1},
		{"limits::max_body_bytes", c.Limits.MaxBodyBytes, 1},
		{"limits::max_labels", int64(c.Limits.MaxLabels), 0},
		{"limits::max_label_bytes", int64(c.Limits.MaxLabelBytes), 1},
		{"limits::max_metadata_bytes", int64(c.Limits.MaxMetadataBytes), 0},
		{"limits::max_metadata_depth", int64(c.Limits.MaxMetadataDepth), 1},
		{"limits::max_vitals", int64(c.Limits.MaxVitals), 0},
		{"limits::max_processes", int64(c.Limits.MaxProcesses), 0},
		{"limits::max_watchers", int64(c.Limits.MaxWatchers), 0},
		{"limits::max_watchers_per_uid", int64(c.Limits.MaxWatchersPerUID), 0},
		{"limits::watcher_buffer", int64(c.Limits.WatcherBuffer), 1},
	} {
		if n.value < n.least {
			wrong(n.key, n.value, fmt.Sprintf("%d or more", n.least))
		}
	}
	return errors.Join(errs...)
}

// portRange is inclusive.
type portRange struct{ from, to uint16 }

func parsePorts(texts []string) ([]portRange, error) {
	ranges := make([]portRange, len(texts))
	for i, text := range texts {
		from, to, isRange := strings.Cut(text, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
		b, errB := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
		if errA != nil || errB != nil || a == 0 || b < a {
			return nil, fmt.Errorf("%q is not allowed: a port from 1 to 65535 (9464), or a range of them (9000-9999)", text)
		}
		ranges[i] = portRange{uint16(a), uint16(b)}
	}
	return ranges, nil
}
