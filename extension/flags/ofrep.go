package flags

import (
	"errors"
	"fmt"
	"net/http"
	"path"
)

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

type ofrep struct{ e *flagsExtension }

func newOFREP(e *flagsExtension) *ofrep { return &ofrep{e} }

// MountApplication adds the OFREP routes to the applications' door.
func (e *flagsExtension) MountApplication(mux *http.ServeMux) {}
