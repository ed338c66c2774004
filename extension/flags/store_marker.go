// This file tells overrides that are lost from those that were never there: a file outside of the
// storage says that there were some.

package flags

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errLost is that overrides were stored once and are not there any more.
var errLost = errors.New("the overrides that were stored are lost")

// marked says whether overrides were ever stored.
func (s *store) marked() bool {
	if s.cfg.Marker == "" {
		return false
	}
	_, err := os.Stat(s.cfg.Marker)
	return !errors.Is(err, os.ErrNotExist)
}

const markerText = "The feature_flags extension has stored overrides. While this file exists and the storage has none,\n" +
	"they count as lost, and migration flags start false.\n"

func (s *store) mark() error {
	if s.cfg.Marker == "" || s.marked() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.cfg.Marker), 0o700); err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	if err := os.WriteFile(s.cfg.Marker, []byte(markerText), 0o600); err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	return nil
}
