package flags

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// oneFlag is a definition file of one boolean flag.
func oneFlag(value bool) string {
	return fmt.Sprintf(`{"flags":{"f":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":%q}}}`,
		map[bool]string{true: "on", false: "off"}[value])
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 5*time.Millisecond, what)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestFilesAreWatched(t *testing.T) {
	for name, c := range map[string]struct {
		lay     func(t *testing.T, dir string) (file string)
		replace func(t *testing.T, dir, content string)
	}{
		"in place": {
			lay: func(t *testing.T, dir string) string {
				write(t, filepath.Join(dir, "f.json"), oneFlag(false))
				return filepath.Join(dir, "f.json")
			},
			replace: func(t *testing.T, dir, content string) { write(t, filepath.Join(dir, "f.json"), content) },
		},
		"by rename": {
			lay: func(t *testing.T, dir string) string {
				write(t, filepath.Join(dir, "f.json"), oneFlag(false))
				return filepath.Join(dir, "f.json")
			},
			replace: func(t *testing.T, dir, content string) {
				write(t, filepath.Join(dir, "f.json.new"), content)
				require.NoError(t, os.Rename(filepath.Join(dir, "f.json.new"), filepath.Join(dir, "f.json")))
			},
		},
		"as Kubernetes mounts": {
			lay: func(t *testing.T, dir string) string {
				require.NoError(t, os.Mkdir(filepath.Join(dir, "..1"), 0o700))
				write(t, filepath.Join(dir, "..1", "f.json"), oneFlag(false))
				require.NoError(t, os.Symlink("..1", filepath.Join(dir, "..data")))
				require.NoError(t, os.Symlink("..data/f.json", filepath.Join(dir, "f.json")))
				return filepath.Join(dir, "f.json")
			},
			replace: func(t *testing.T, dir, content string) {
				next, err := os.MkdirTemp(dir, "..")
				require.NoError(t, err)
				write(t, filepath.Join(next, "f.json"), content)
				require.NoError(t, os.Symlink(filepath.Base(next), filepath.Join(dir, "..data_tmp")))
				was, err := os.Readlink(filepath.Join(dir, "..data"))
				require.NoError(t, err)
				require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
				require.NoError(t, os.RemoveAll(filepath.Join(dir, was)))
			},
		},
		"behind a directory that is a symlink": {
			lay: func(t *testing.T, dir string) string {
				require.NoError(t, os.Mkdir(filepath.Join(dir, "v1"), 0o700))
				write(t, filepath.Join(dir, "v1", "f.json"), oneFlag(false))
				require.NoError(t, os.Symlink("v1", filepath.Join(dir, "current")))
				return filepath.Join(dir, "current", "f.json")
			},
			replace: func(t *testing.T, dir, content string) {
				next, err := os.MkdirTemp(dir, "v")
				require.NoError(t, err)
				write(t, filepath.Join(next, "f.json"), content)
				require.NoError(t, os.Symlink(next, filepath.Join(dir, "next")))
				require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")))
			},
		},
		"in place behind a symlink": {
			lay: func(t *testing.T, dir string) string {
				require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
				write(t, filepath.Join(dir, "real", "x"), oneFlag(false))
				require.NoError(t, os.Symlink("real/x", filepath.Join(dir, "f.json")))
				return filepath.Join(dir, "f.json")
			},
			replace: func(t *testing.T, dir, content string) { write(t, filepath.Join(dir, "real", "x"), content) },
		},
		"removed and written again": {
			lay: func(t *testing.T, dir string) string {
				require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
				write(t, filepath.Join(dir, "sub", "f.json"), oneFlag(false))
				return filepath.Join(dir, "sub", "f.json")
			},
			replace: func(t *testing.T, dir, content string) {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "sub")))
				time.Sleep(2 * settle) // let the removal be seen by itself
				require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
				write(t, filepath.Join(dir, "sub", "f.json"), content)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := c.lay(t, dir)
			e := started(t, func(cfg *Config) { cfg.Files = []string{file} })
			h, err := e.Bind("f")
			require.NoError(t, err)
			for i := range 4 { // again and again: what is watched moves with the links
				want := i%2 == 0
				c.replace(t, dir, oneFlag(want))
				eventually(t, func() bool { return h.Enabled() == want }, "the change")
			}
		})
	}
}

func TestBrokenFileKeepsTheLastGoodOne(t *testing.T) {
	file := fileOf(t, "f.json", oneFlag(true))
	e := started(t, func(cfg *Config) { cfg.Files = []string{file} })
	h, err := e.Bind("f")
	require.NoError(t, err)
	for _, broken := range []string{
		`{"flags":`, ``, `{"flags":{}}`, // the last: a bound flag is gone
		`{"flags":{"f":{"state":"ENABLED","variants":{"a":"x"}}}}`,
		`{"flags":{"f":{"state":"ENABLED","variants":{"on":true},"metadata":{"dependsOn":"nobody"}}}}`,
	} {
		write(t, file, oneFlag(true))
		eventually(t, func() bool { return e.definitions.trouble() == nil }, "good")
		write(t, file, broken)
		eventually(t, func() bool { return e.definitions.trouble() != nil }, broken)
		require.True(t, h.Enabled(), broken)
	}
	require.NoError(t, os.Remove(file))
	eventually(t, func() bool { return os.IsNotExist(e.definitions.trouble()) }, "removed")
	require.True(t, h.Enabled())
	write(t, file, oneFlag(false))
	eventually(t, func() bool { return !h.Enabled() && e.definitions.trouble() == nil }, "mended")
}

func TestLaterFilesCount(t *testing.T) {
	e := started(t, func(cfg *Config) {
		cfg.Files = []string{fileOf(t, "a.json", oneFlag(false)), fileOf(t, "b.json", oneFlag(true))}
	})
	require.Equal(t, map[string]bool{"f": true}, e.States())
}

func TestDependenciesThatLeadNowhereAreRefused(t *testing.T) {
	flag := func(key, on string) string {
		return fmt.Sprintf(`%q:{"state":"ENABLED","variants":{"on":true,"off":false},"metadata":{"dependsOn":%q}}`, key, on)
	}
	for document, want := range map[string]string{
		`{"flags":{` + flag("a", "b") + `,` + flag("b", "c") + `,` + flag("c", "a") + `}}`: "a > b > c > a",
		`{"flags":{` + flag("a", "a") + `}}`:                                               "a > a",
		`{"flags":{` + flag("a", "nobody") + `}}`:                                          `depends on "nobody"`,
	} {
		c := contents{data: [][]byte{[]byte(document)}}
		_, err := c.parse([]string{"f.json"})
		require.ErrorContains(t, err, want)
	}
}

func TestRulesThatReadTheTimeTakeEffectInHandles(t *testing.T) {
	at := time.Now().Add(1500 * time.Millisecond).Unix()
	file := fileOf(t, "f.json", fmt.Sprintf(`{"flags":{"f":{"state":"ENABLED","variants":{"true":true,"false":false},
		"targeting":{">=":[{"var":"$flagd.timestamp"},%d]}}}}`, at))
	e := started(t, func(cfg *Config) { cfg.Files = []string{file} })
	h, err := e.Bind("f")
	require.NoError(t, err)
	eventually(t, h.Enabled, "the time has come")
	require.GreaterOrEqual(t, time.Now().Unix(), at)
}

// reporter is a host that keeps what components report of themselves.
type reporter struct {
	component.Host
	events chan *componentstatus.Event
}

func (r reporter) Report(event *componentstatus.Event) { r.events <- event }

func TestBrokenFileShowsInTheStatusAndTheMetric(t *testing.T) {
	file := fileOf(t, "f.json", oneFlag(true))
	telemetry := componenttest.NewTelemetry()
	set := settings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	e, err := newExtension(set, configOf(file))
	require.NoError(t, err)
	host := reporter{nopHost, make(chan *componentstatus.Event, 10)}
	require.NoError(t, e.Start(t.Context(), host))
	defer func() { require.NoError(t, e.Shutdown(t.Context())) }()
	broken := func() int64 {
		m, err := telemetry.GetMetric("otelcol_feature_flags_definitions_broken")
		require.NoError(t, err)
		return m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value
	}
	require.Zero(t, broken())
	write(t, file, "{")
	event := <-host.events
	require.Equal(t, componentstatus.StatusRecoverableError, event.Status())
	require.ErrorContains(t, event.Err(), "f.json")
	eventually(t, func() bool { return broken() == 1 }, "the metric")
	write(t, file, oneFlag(false))
	require.Equal(t, componentstatus.StatusOK, (<-host.events).Status())
	eventually(t, func() bool { return broken() == 0 }, "the metric")
	reloads, err := telemetry.GetMetric("otelcol_feature_flags_reloads")
	require.NoError(t, err)
	require.Len(t, reloads.Data.(metricdata.Sum[int64]).DataPoints, 2)
}

// A file that broke while the agent ran does not keep it from starting again.
func TestLastGoodDefinitionsHoldAfterARestart(t *testing.T) {
	dir, file := t.TempDir(), fileOf(t, "f.json", oneFlag(false))
	configure := func(cfg *Config) { cfg.Files = []string{file} }
	e, stop := withFileStorage(t, dir, configure)
	write(t, file, oneFlag(true))
	eventually(t, func() bool { return e.States()["f"] }, "the change")
	stop()

	write(t, file, "{")
	e, stop = withFileStorage(t, dir, configure)
	require.True(t, e.States()["f"])
	require.ErrorContains(t, e.definitions.trouble(), "f.json")
	write(t, file, oneFlag(false))
	eventually(t, func() bool { return !e.States()["f"] && e.definitions.trouble() == nil }, "mended")
	stop()

	write(t, file, "{")
	_, _, err := startStored(mustFileStorage(t, dir), func(cfg *Config) { cfg.Files = []string{file, shipped} })
	require.ErrorContains(t, err, "f.json", "other files are another configuration")
}

func TestFlagsThatComeAndGoAreTold(t *testing.T) {
	file := fileOf(t, "f.json", oneFlag(true))
	e := started(t, func(cfg *Config) { cfg.Files = []string{file} })
	write(t, file, `{"flags":{"g":{"state":"ENABLED","variants":{"a":"x"},"defaultVariant":"a"}}}`)
	came, err := e.Events().Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "flag g changed from the application's default to a by definitions", came.Body)
	went, err := e.Events().Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "flag f changed from on to the application's default by definitions", went.Body)
}
