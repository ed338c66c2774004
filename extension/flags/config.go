// This file is the extension's configuration.

package flags

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
)

// Config of the feature_flags extension.
type Config struct {
	// Files with definitions in flagd's format, JSON or YAML (.yaml, .yml). They are watched. Where two
	// define the same flag, the later one's holds.
	Files []string `mapstructure:"files"`
	// HostKey is the targeting key that the flags of this agent's own components are evaluated for.
	// Default: the host's name.
	HostKey string `mapstructure:"host_key"`
	// Storage is the storage extension that keeps overrides. Without it they last as long as the process.
	Storage *component.ID `mapstructure:"storage"`
	// Marker is a file outside of the storage that says that overrides were stored: where it exists and
	// the storage has none, they were lost, and all migration flags start false. "": loss is not noticed.
	Marker string `mapstructure:"marker"`
	// OFREP is how applications evaluate flags.
	OFREP OFREPConfig `mapstructure:"ofrep"`

	_ struct{}
}

// OFREPConfig is how applications evaluate flags, at the applications' door and at an endpoint of its own.
type OFREPConfig struct {
	// HTTP is an endpoint of its own. Default: none, only the doors that mount the extension serve it.
	HTTP configoptional.Optional[confighttp.ServerConfig] `mapstructure:"http"`
	// Allow lists the keys that applications see, as globs of path.Match. Default: all.
	Allow []string `mapstructure:"allow"`
	// MaxBodyBytes of a request.
	MaxBodyBytes int64 `mapstructure:"max_body_bytes"`
	// MaxStreams is how many event streams may be open at once. 0: streams are not offered.
	MaxStreams int `mapstructure:"max_streams"`

	_ struct{}
}

// Validate checks what can be checked without the host.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Files) == 0 {
		errs = append(errs, errors.New("files: name at least one file with flag definitions"))
	}
	seen := map[string]bool{}
	for i, file := range c.Files {
		switch {
		case file == "":
			errs = append(errs, fmt.Errorf("files[%d]: is empty, it must be the path of a file", i))
		case seen[filepath.Clean(file)]:
			errs = append(errs, fmt.Errorf("files[%d]: %q is listed twice", i, file))
		}
		seen[filepath.Clean(file)] = true
	}
	if c.Marker != "" && c.Storage == nil {
		errs = append(errs, fmt.Errorf("marker: %q needs storage to be set", c.Marker))
	}
	return errors.Join(append(errs, c.OFREP.validate())...)
}

func (c *OFREPConfig) validate() error {
	var errs []error
	for i, glob := range c.Allow {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			errs = append(errs, fmt.Errorf("ofrep::allow[%d]: %q is no glob of a flag's key", i, glob))
		}
	}
	if c.MaxBodyBytes < 1 {
		errs = append(errs, fmt.Errorf("ofrep::max_body_bytes: %d, it must be at least 1", c.MaxBodyBytes))
	}
	if c.MaxStreams < 0 {
		errs = append(errs, fmt.Errorf("ofrep::max_streams: %d, it must not be negative", c.MaxStreams))
	}
	return errors.Join(errs...)
}
