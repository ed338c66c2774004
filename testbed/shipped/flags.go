package shipped

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// Flags is a file of flag definitions: the shipped one with everything on.
type Flags struct {
	// Path is for FOUNDATION_FLAGS_FILE.
	Path string
	// Flips counts the changes made by Run; read it when Run has returned.
	Flips int
}

// NewFlags writes the file.
func NewFlags(t testing.TB) *Flags {
	t.Helper()
	shipped, err := os.ReadFile(filepath.Join(agenttest.Root(), "config", "flags.json"))
	require.NoError(t, err)
	f := &Flags{Path: filepath.Join(t.TempDir(), "flags.json")}
	require.NoError(t, f.write(strings.ReplaceAll(string(shipped), `"defaultVariant": "off"`, `"defaultVariant": "on"`)))
	return f
}

// Run flips one of the flags after another until halt is closed.
func (f *Flags) Run(halt <-chan struct{}, every time.Duration, flags ...string) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := f.flip(flags[f.Flips%len(flags)]); err != nil {
				return err
			}
			f.Flips++
		case <-halt:
			return nil
		}
	}
}

func (f *Flags) flip(flag string) error {
	text, err := os.ReadFile(f.Path)
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
func (f *Flags) write(text string) error {
	if err := os.WriteFile(f.Path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(f.Path+".new", f.Path)
}
