package flags

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/foundation-agent/foundation-agent/extension/flags/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/flag"
)

var tester = flag.Author{Name: "tester", Reason: "a test"}

// shipped is the definition file that the agent comes with.
const shipped = "../../config/flags.json"

// nopHost has no extensions.
var nopHost = componenttest.NewNopHost()

func settings() extension.Settings {
	set := extensiontest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type) // the same one after a restart
	return set
}

func configOf(files ...string) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Files = files
	cfg.HostKey = "host"
	return cfg
}

// started returns a running extension on the shipped file, stopped at the end of the test.
func started(t testing.TB, configure func(*Config)) *flagsExtension {
	t.Helper()
	cfg := configOf(shipped)
	if configure != nil {
		configure(cfg)
	}
	require.NoError(t, cfg.Validate())
	ext, err := NewFactory().Create(context.Background(), settings(), cfg)
	require.NoError(t, err)
	e := ext.(*flagsExtension)
	require.NoError(t, e.Start(context.Background(), nopHost))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e
}

// fileOf writes content to a definition file of its own.
func fileOf(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestShippedFlagsAreAllFalse(t *testing.T) {
	e := started(t, nil)
	require.Len(t, e.States(), 7)
	for name, on := range e.States() {
		require.False(t, on, name)
	}
}

func TestHandlesFollowSetAll(t *testing.T) {
	e := started(t, nil)
	h, err := e.Bind("use_ets_sampled_events")
	require.NoError(t, err)
	require.False(t, h.Enabled())
	told := make(chan bool, 10)
	stop := h.OnChange(func(on bool) { told <- on })

	persisted, err := e.SetAll(map[string]bool{"use_ets_sampled_events": true, "use_ets_agent_registry": true}, tester)
	require.NoError(t, err)
	require.False(t, persisted) // there is no storage
	require.True(t, h.Enabled())
	require.True(t, <-told)

	require.False(t, e.EmergencyRollback(tester))
	require.False(t, h.Enabled())
	require.False(t, <-told)

	stop()
	_, err = e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
	require.NoError(t, err)
	require.True(t, h.Enabled())
	require.Empty(t, told)
	require.Equal(t, []string{"use_ets_sampled_events"}, e.Bound())
}

func TestBindRefusesWhatIsNoBooleanFlag(t *testing.T) {
	_, err := started(t, nil).Bind("no_such_flag")
	require.ErrorContains(t, err, `"no_such_flag"`)
	require.ErrorContains(t, err, "use_ets_agent_registry")
}

// A reader never sees half of a change: both flags are always equal.
func TestChangesAreAtomic(t *testing.T) {
	e := started(t, nil)
	names := []string{"use_ets_sampled_events", "use_ets_agent_registry"}
	for _, name := range names {
		_, err := e.Bind(name)
		require.NoError(t, err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s := e.state.Load()
				if s.slots[0] != s.slots[1] {
					t.Error("a reader saw half of a change")
					return
				}
				states := e.States()
				if states[names[0]] != states[names[1]] {
					t.Error("States saw half of a change")
					return
				}
			}
		})
	}
	for i := range 500 {
		_, err := e.SetAll(map[string]bool{names[0]: i%2 == 0, names[1]: i%2 == 0}, tester)
		require.NoError(t, err)
		if i%7 == 0 {
			e.EmergencyRollback(tester)
		}
	}
	close(done)
	readers.Wait()
}
