package soak

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// flipped are the flags that change all the time.
var flipped = []string{"use_ets_sampled_events", "use_logger_error_context"}

// flipper owns a file of flag definitions: the shipped one with everything on.
type flipper struct {
	path  string
	flips int
}

func newFlipper(t *testing.T) *flipper {
	shipped, err := os.ReadFile(filepath.Join(agenttest.Root(), "config", "flags.json"))
	require.NoError(t, err)
	f := &flipper{path: filepath.Join(t.TempDir(), "flags.json")}
	require.NoError(t, f.write(strings.ReplaceAll(string(shipped), `"defaultVariant": "off"`, `"defaultVariant": "on"`)))
	return f
}

// run flips one flag after another until halt is closed.
func (f *flipper) run(halt <-chan struct{}, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := f.flip(flipped[f.flips%len(flipped)]); err != nil {
				return err
			}
			f.flips++
		case <-halt:
			return nil
		}
	}
}

func (f *flipper) flip(flag string) error {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	before, after, _ := strings.Cut(string(text), `"`+flag+`": {`)
	on, off := `"defaultVariant": "on"`, `"defaultVariant": "off"`
	if i := strings.Index(after, on); i >= 0 && i < strings.Index(after, `"metadata"`) {
		on, off = off, on
	}
	return f.write(before + `"` + flag + `": {` + strings.Replace(after, off, on, 1))
}

// write replaces the file in one step, as an editor or a configuration management does.
func (f *flipper) write(text string) error {
	if err := os.WriteFile(f.path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}
