package flags

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/foundation-agent/foundation-agent/extension/flags/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

var storageID = component.MustNewID("file_storage")

// hostWith is a host with one extension, under storageID.
type hostWith struct{ ext component.Component }

func (h hostWith) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: h.ext}
}

// fileStorage is the real one, in dir.
func fileStorage(dir string) (component.Component, error) {
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	cfg.Recreate = true
	ext, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		return nil, err
	}
	return ext, ext.Start(context.Background(), nopHost)
}

// startStored starts an extension on a storage; stop ends both.
func startStored(ext component.Component, configure func(*Config)) (e *flagsExtension, stop func() error, err error) {
	cfg := configOf(shipped)
	cfg.Storage = &storageID
	if configure != nil {
		configure(cfg)
	}
	created, err := NewFactory().Create(context.Background(), settings(), cfg)
	if err != nil {
		return nil, nil, err
	}
	e = created.(*flagsExtension)
	if err := e.Start(context.Background(), hostWith{ext}); err != nil {
		return nil, nil, err
	}
	return e, func() error {
		return errors.Join(e.Shutdown(context.Background()), ext.Shutdown(context.Background()))
	}, nil
}

func withFileStorage(t *testing.T, dir string, configure func(*Config)) (*flagsExtension, func()) {
	t.Helper()
	ext, err := fileStorage(dir)
	require.NoError(t, err)
	e, stop, err := startStored(ext, configure)
	require.NoError(t, err)
	return e, func() { require.NoError(t, stop()) }
}

func TestOverridesAreRestored(t *testing.T) {
	dir := t.TempDir()
	more := func(cfg *Config) { cfg.Files = append(cfg.Files, "testdata/targeting.json") }
	e, stop := withFileStorage(t, dir, more)
	persisted, err := e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
	require.NoError(t, err)
	require.True(t, persisted)
	_, persisted, err = e.setShare("app-share", 12.5, tester)
	require.NoError(t, err)
	require.True(t, persisted)
	_, _, err = e.setValue("app-limit", []byte("7"), tester)
	require.NoError(t, err)
	_, _, err = e.setVariant("app-banner", "internal", tester)
	require.NoError(t, err)
	before := e.state.Load().overrides
	stop()

	e, stop = withFileStorage(t, dir, more)
	defer stop()
	require.Equal(t, before, e.state.Load().overrides)
	require.True(t, e.States()["use_ets_sampled_events"])
	require.Equal(t, 7.0, valueOf(e.state.Load().resolved["app-limit"]))
}

// helperDir tells the helper process where to store. It is this test binary, started again.
const helperDir = "FEATURE_FLAGS_HELPER_DIR"

// TestHelperEnables is no test: it enables a flag, says so, and waits to be killed.
func TestHelperEnables(t *testing.T) {
	dir := os.Getenv(helperDir)
	if dir == "" {
		t.Skip("only run as a helper")
	}
	ext, err := fileStorage(dir)
	require.NoError(t, err)
	e, _, err := startStored(ext, nil)
	require.NoError(t, err)
	persisted, err := e.SetAll(map[string]bool{"use_ets_agent_registry": true}, tester)
	fmt.Println("acknowledged:", persisted, err)
	select {}
}

func TestEnabledAfterKill(t *testing.T) {
	dir := t.TempDir()
	helper := exec.Command(os.Args[0], "-test.run=^TestHelperEnables$", "-test.v")
	helper.Env = append(os.Environ(), helperDir+"="+dir)
	out, err := helper.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, helper.Start())
	acknowledged := false
	for lines := bufio.NewScanner(out); !acknowledged && lines.Scan(); {
		acknowledged = lines.Text() == "acknowledged: true <nil>"
	}
	require.NoError(t, helper.Process.Kill())
	_ = helper.Wait() // killed
	require.True(t, acknowledged)

	e, stop := withFileStorage(t, dir, nil)
	defer stop()
	require.True(t, e.States()["use_ets_agent_registry"])
}

// allOn are the shipped flags, with every migration flag on by file.
func allOn(t *testing.T) string {
	return fileOf(t, "flags.json", `{"flags":{
		"a":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","metadata":{"migration":true}},
		"b":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","metadata":{"migration":true}},
		"other":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}}}`)
}

func TestLostOverridesMeanMigrationFlagsOff(t *testing.T) {
	dir, file := t.TempDir(), allOn(t)
	marker := filepath.Join(t.TempDir(), "state", "marker")
	configure := func(cfg *Config) { cfg.Files, cfg.Marker = []string{file}, marker }

	e, stop := withFileStorage(t, dir, configure)
	require.Equal(t, map[string]bool{"a": true, "b": true, "other": true}, e.States(), "never there: the file holds")
	e.EmergencyRollback(tester)
	stop()
	require.FileExists(t, marker)

	lost := t.TempDir()
	e, stop = withFileStorage(t, lost, configure)
	require.Equal(t, map[string]bool{"a": false, "b": false, "other": true}, e.States(), "lost")
	require.Contains(t, e.state.Load().overrides["a"].By.Reason, "lost")
	stop()

	e, stop = withFileStorage(t, lost, configure)
	require.Equal(t, map[string]bool{"a": false, "b": false, "other": true}, e.States(), "stays so")
	e.resetAll(tester)
	require.True(t, e.States()["a"], "until an operator says otherwise")
	stop()
}

func TestUnreadableOverridesMeanMigrationFlagsOff(t *testing.T) {
	for name, c := range map[string]struct {
		stored  string
		durable bool
	}{
		"garbage":      {`{"format":1,"overrides":`, true},
		"no overrides": {`{"format":1}`, true},
		"newer":        {`{"format":2,"overrides":[]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file := t.TempDir(), allOn(t)
			ext, err := fileStorage(dir)
			require.NoError(t, err)
			client, err := ext.(storage.Extension).GetClient(context.Background(), component.KindExtension, component.NewID(metadata.Type), "")
			require.NoError(t, err)
			require.NoError(t, client.Set(context.Background(), storeKey, []byte(c.stored)))
			require.NoError(t, client.Close(context.Background()))

			e, stop, err := startStored(ext, func(cfg *Config) { cfg.Files = []string{file} })
			require.NoError(t, err)
			require.Equal(t, map[string]bool{"a": false, "b": false, "other": true}, e.States())
			_, persisted, err := e.setValue("a", []byte("true"), tester)
			require.NoError(t, err)
			require.Equal(t, c.durable, persisted)
			require.NoError(t, stop())

			ext, err = fileStorage(dir)
			require.NoError(t, err)
			client, err = ext.(storage.Extension).GetClient(context.Background(), component.KindExtension, component.NewID(metadata.Type), "")
			require.NoError(t, err)
			left, err := client.Get(context.Background(), storeKey)
			require.NoError(t, err)
			if !c.durable {
				require.Equal(t, c.stored, string(left), "a newer format is left alone")
			} else {
				kept, err := client.Get(context.Background(), unreadableKey)
				require.NoError(t, err)
				require.Equal(t, c.stored, string(kept))
			}
			require.NoError(t, client.Close(context.Background()))
			require.NoError(t, ext.Shutdown(context.Background()))
		})
	}
}

// brokenStorage is a storage whose writes fail, or hang, as long as it is told to.
type brokenStorage struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	set func() error
	get error
}

func (b *brokenStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return b, nil
}
func (b *brokenStorage) Get(context.Context, string) ([]byte, error) { return nil, b.get }
func (b *brokenStorage) Set(context.Context, string, []byte) error   { return b.set() }
func (b *brokenStorage) Close(context.Context) error                 { return nil }

func TestDeadStorage(t *testing.T) {
	dead := errors.New("disk on fire")
	failing := make(chan bool, 1)
	failing <- true
	ext := &brokenStorage{set: func() error {
		fail := <-failing
		failing <- fail
		if fail {
			return dead
		}
		return nil
	}}
	e, stop, err := startStored(ext, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	h, err := e.Bind("use_ets_sampled_events")
	require.NoError(t, err)

	persisted, err := e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
	require.NoError(t, err)
	require.False(t, persisted)
	require.True(t, h.Enabled())
	require.False(t, e.EmergencyRollback(tester))
	require.False(t, h.Enabled())
	durable, why := e.store.durable()
	require.False(t, durable)
	require.ErrorIs(t, why, dead)

	<-failing
	failing <- false // the disk is back: what holds is stored without another change
	require.Eventually(t, func() bool { durable, _ := e.store.durable(); return durable }, 10*time.Second, 10*time.Millisecond)
}

// A disk that hangs holds up neither a rollback nor a reader.
func TestHangingStorage(t *testing.T) {
	hang := make(chan struct{})
	e, stop, err := startStored(&brokenStorage{set: func() error { <-hang; return nil }}, nil)
	require.NoError(t, err)
	h, err := e.Bind("use_ets_sampled_events")
	require.NoError(t, err)
	answered := make(chan bool)
	go func() {
		persisted, _ := e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
		answered <- persisted
	}()
	require.Eventually(t, h.Enabled, 2*time.Second, time.Millisecond)
	go func() { answered <- e.EmergencyRollback(tester) }()
	require.Eventually(t, func() bool { return !h.Enabled() }, 2*time.Second, time.Millisecond)
	close(hang)
	<-answered
	<-answered
	require.NoError(t, stop())
}

func TestStorageThatCannotBeReadMeansMigrationFlagsOff(t *testing.T) {
	file := allOn(t)
	e, stop, err := startStored(&brokenStorage{get: errors.New("disk on fire"), set: func() error { return nil }},
		func(cfg *Config) { cfg.Files = []string{file} })
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"a": false, "b": false, "other": true}, e.States())
	require.NoError(t, stop())
}

func TestMissingStorageIsAnError(t *testing.T) {
	cfg := configOf(shipped)
	other := component.MustNewID("other_storage")
	cfg.Storage = &other
	ext, err := NewFactory().Create(context.Background(), settings(), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, ext.Start(context.Background(), nopHost), `storage: extension "other_storage"`)
	require.NoError(t, ext.Shutdown(context.Background()))
}

func mustFileStorage(t *testing.T, dir string) component.Component {
	t.Helper()
	ext, err := fileStorage(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return ext
}

func FuzzDecodeOverrides(f *testing.F) {
	f.Add([]byte(`{"format":1,"overrides":{"f":{"kind":"value","value":true,"by":{"author":"a","reason":"r"},"at":"2026-11-22T10:00:00Z"}}}`))
	f.Add([]byte(`{"format":1,"overrides":{"f":{"kind":"percentage","percentage":1e300}}}`))
	f.Add([]byte(`{"format":2}`))
	definitions, err := readFiles([]string{shipped})
	require.NoError(f, err)
	set, err := definitions.parse([]string{shipped})
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		overrides, err := decodeOverrides(raw)
		if err != nil {
			return
		}
		for _, flag := range set.Flags {
			overrides[flag.Key] = overrides["f"]
		}
		(&state{}).next(set, overrides, flagd.KeyContext("host"), nil, time.Time{}).staticEntries()
	})
}
