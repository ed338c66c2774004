// This file is the configuration of span_lifecycle.

package span

import (
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/foundation-agent/foundation-agent/internal/enforcement"
)

// Config of the span_lifecycle processor.
type Config struct {
	// OpenSpans is the open_spans extension, which holds the table. Required.
	OpenSpans component.ID `mapstructure:"open_spans"`
	// Flags is the feature_flags extension; none: logs are always enriched.
	Flags *component.ID `mapstructure:"flags"`
	// Flag switches the enrichment of logs.
	Flag string `mapstructure:"flag"`
	// Control is the control extension, where operators watch the enriched logs (`logs tail`); none: nobody can.
	Control *component.ID `mapstructure:"control"`
	// Patterns of words in logs, by name, as regular expressions: records of severity ERROR or above, or of none, in
	// whose body or exception they are found are counted.
	Patterns map[string]string `mapstructure:"patterns"`
	// Enforcement, where present, counts and marks records of the users' old code path (foundation.violation).
	Enforcement configoptional.Optional[enforcement.AuditConfig] `mapstructure:"enforcement"`
}

func createDefaultConfig() component.Config {
	return &Config{
		OpenSpans: component.MustNewID("open_spans"),
		Flag:      "use_logger_error_context",

		Enforcement: configoptional.Default(enforcement.NewDefaultAudit()),
	}
}

// Validate reports every wrong option with its key, its value and what is allowed.
func (c *Config) Validate() error {
	if c.Flag == "" {
		return errors.New(`flag: ""; must name a boolean flag`)
	}
	_, err := newPatterns(c.Patterns)
	return err
}
