package flags

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
