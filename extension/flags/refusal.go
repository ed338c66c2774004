// This file is why a change is refused.

package flags

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// refusal is an error of the caller's, with what the operators' API answers.
type refusal struct {
	status int
	code   string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

func invalid(err error) error {
	return &refusal{status: http.StatusBadRequest, code: "invalid_value", err: err}
}

func unknownFlag(name string, s *state) error {
	return &refusal{status: http.StatusNotFound, code: "unknown_flag",
		err: fmt.Errorf("unknown flag %q: there are %s", name, strings.Join(s.definitions.Keys(), ", "))}
}

func unmetDependencies(f *flagd.Flag, off []string) error {
	return &refusal{status: http.StatusConflict, code: "unmet_dependencies",
		err: fmt.Errorf("flag %q depends on %s: enable that first", f.Key, strings.Join(off, ", "))}
}
