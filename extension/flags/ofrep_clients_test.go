package flags

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// clients installs the published OpenFeature clients, as package-lock.json pins them.
var clients = sync.OnceValues(func() (dir string, err error) {
	dir, err = filepath.Abs("testdata/e2e")
	if err != nil {
		return "", err
	}
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", err
	}
	if installed, err := os.Stat(filepath.Join(dir, "node_modules/.package-lock.json")); err == nil && installed.ModTime().After(lock.ModTime()) {
		return dir, nil
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// evaluation is one call of an OpenFeature client.
type evaluation struct {
	Flag    string         `json:"flag"`
	Default any            `json:"default"`
	Context map[string]any `json:"context"`
}

// details is what the client answered.
type details struct {
	Value     any            `json:"value"`
	Variant   string         `json:"variant"`
	Reason    string         `json:"reason"`
	ErrorCode string         `json:"errorCode"`
	Metadata  map[string]any `json:"metadata"`
}

// evaluateWith has the Node SDK evaluate with a provider: "flagd" and a file, or "ofrep" and a URL.
func evaluateWith(t *testing.T, provider, where string, evaluations []evaluation) []details {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	dir, err := clients()
	require.NoError(t, err)
	var in, stderr bytes.Buffer
	encode := json.NewEncoder(&in)
	for _, e := range evaluations {
		require.NoError(t, encode.Encode(e))
	}
	node := exec.Command("node", filepath.Join(dir, "evaluate.mjs"), provider, where)
	node.Stdin, node.Stderr = &in, &stderr
	out, err := node.Output()
	require.NoError(t, err, stderr.String())
	var all []details
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var d details
		require.NoError(t, json.Unmarshal(lines.Bytes(), &d))
		all = append(all, d)
	}
	require.Len(t, all, len(evaluations), stderr.String())
	return all
}

// withEndpoint gives the extension an endpoint of its own on a free port.
func withEndpoint(cfg *Config) {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.OFREP.HTTP = configoptional.Some(server)
}

func TestNodeServerSDK(t *testing.T) {
	e := started(t, func(cfg *Config) {
		withEndpoint(cfg)
		cfg.Files = []string{shipped, "testdata/targeting.json"}
	})
	_, _, err := e.setShare("app-share", 50, tester)
	require.NoError(t, err)
	none := map[string]any{}
	var evaluations []evaluation
	var want []details
	expect := func(flag string, fallback any, context map[string]any, d details) {
		evaluations = append(evaluations, evaluation{flag, fallback, context})
		want = append(want, d)
	}
	set, err := contentsOf(t, shipped).parse([]string{shipped})
	require.NoError(t, err)
	for _, key := range set.Keys() {
		expect(key, true, none, details{Value: false, Variant: "off", Reason: "STATIC"})
	}
	expect("app-banner", "x", map[string]any{"targetingKey": "u", "email": "me@example.com"}, details{Value: "hello", Variant: "internal", Reason: "TARGETING_MATCH"})
	expect("app-banner", "x", map[string]any{"targetingKey": "u", "email": "me@example.org"}, details{Value: "welcome", Variant: "public", Reason: "DEFAULT"})
	expect("app-version", false, map[string]any{"version": "2.3.4"}, details{Value: true, Variant: "new", Reason: "TARGETING_MATCH"})
	expect("app-version", true, map[string]any{"version": "1.9.0"}, details{Value: false, Variant: "old", Reason: "TARGETING_MATCH"})
	expect("app-limit", 1, none, details{Value: 12345678901.0, Variant: "large", Reason: "STATIC"})
	expect("app-ratio", 1, none, details{Value: 0.25, Variant: "quarter", Reason: "STATIC"})
	expect("app-theme", map[string]any{}, none, details{Value: map[string]any{"color": "blue", "size": 3.0}, Variant: "blue", Reason: "STATIC"})
	expect("app/with/slashes", false, none, details{Value: true, Variant: "on", Reason: "STATIC"})
	expect("app-share", false, map[string]any{"targetingKey": "in"}, details{Value: within("app-share", "in", 50), Variant: map[bool]string{true: "on", false: "off"}[within("app-share", "in", 50)], Reason: "SPLIT"})
	expect("app-share", true, none, details{Value: true, Reason: "ERROR", ErrorCode: "TARGETING_KEY_MISSING"})
	expect("app-broken", "x", none, details{Value: "x", Reason: "ERROR", ErrorCode: "PARSE_ERROR"})
	expect("app-no-variant", "x", none, details{Value: "x", Reason: "ERROR", ErrorCode: "GENERAL"})
	expect("app-banner", false, none, details{Value: false, Reason: "ERROR", ErrorCode: "TYPE_MISMATCH"})
	expect("missing", true, none, details{Value: true, Reason: "ERROR", ErrorCode: "FLAG_NOT_FOUND"})

	for i, got := range evaluateWith(t, "ofrep", "http://"+e.ofrep.addr.String(), evaluations) {
		got.Metadata = nil
		require.Equal(t, want[i], got, "%+v", evaluations[i])
	}
}

// An application that evaluates the file in process, with flagd's own provider, gets what OFREP answers.
func TestSameAsFlagdInProcess(t *testing.T) {
	const file = "testdata/targeting.json"
	absolute, err := filepath.Abs(file)
	require.NoError(t, err)
	set, err := contentsOf(t, file).parse([]string{file})
	require.NoError(t, err)
	keys := []string{"app-split", "app-split-thirds", "app-split-by-email", "app-split-nested", "app-banner", "app-version", "app-roles"}
	const users = 2_000
	evaluations := make([]evaluation, 0, users*len(keys))
	for i := range users {
		context := map[string]any{
			"targetingKey": fmt.Sprintf("user-%d@example.com", i),
			"email":        fmt.Sprintf("%d@example.%s", i, []string{"com", "org"}[i%2]),
			"version":      fmt.Sprintf("%d.%d.%d", i%4, i%7, i%3),
			"tier":         []string{"free", "premium", ""}[i%3],
			"roles":        []string{"reader", "admin"}[:i%3/2+1],
			"n":            i % 10,
		}
		for _, key := range keys {
			f, ok := set.Flag(key)
			require.True(t, ok, key)
			fallback := any("fallback")
			if f.Type == flagd.Boolean {
				fallback = false
			}
			evaluations = append(evaluations, evaluation{key, fallback, context})
		}
	}
	differ := 0
	for i, theirs := range evaluateWith(t, "flagd", absolute, evaluations) {
		written, err := json.Marshal(evaluations[i].Context)
		require.NoError(t, err)
		c, err := flagd.NewContext(written)
		require.NoError(t, err)
		f, _ := set.Flag(evaluations[i].Flag)
		ours := f.Evaluate(c, time.Now())
		if variantOf(ours) != theirs.Variant || ours.Reason != theirs.Reason {
			differ++
			t.Errorf("%s %s: %s %s, flagd's provider says %s %s %s", f.Key, written,
				variantOf(ours), ours.Reason, theirs.Variant, theirs.Reason, theirs.ErrorCode)
		}
		if differ > 5 {
			t.Fatal("and more")
		}
	}
	t.Logf("%d evaluations, none differs", len(evaluations))
}

func TestNodeWebSDKFollowsChanges(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	dir, err := clients()
	require.NoError(t, err)
	e := started(t, withEndpoint)
	node := exec.Command("node", filepath.Join(dir, "web.mjs"), "http://"+e.ofrep.addr.String(), "use_ets_sampled_events")
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Equal(t, "false STATIC", lines.Text())
	eventually(t, func() bool { return e.ofrep.streams.open.Load() == 1 }, "the stream is open")
	_, err = e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
	require.NoError(t, err)
	require.True(t, lines.Scan())
	require.Equal(t, "true STATIC", lines.Text())
	require.NoError(t, node.Wait())
}

func contentsOf(t *testing.T, file string) contents {
	t.Helper()
	c, err := readFiles([]string{file})
	require.NoError(t, err)
	return c
}
