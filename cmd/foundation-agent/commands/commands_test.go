package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/goleak"

	"github.com/foundation-agent/foundation-agent/extension/control"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is a real control extension that serves routes of the test's.
type agent struct {
	extension.Extension
	operator.Registrar
	socket string
}

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

type served struct {
	component.StartFunc
	component.ShutdownFunc
	routes []operator.Route
}

func (s *served) OperatorRoutes() []operator.Route { return s.routes }

func startAgent(t *testing.T, routes ...operator.Route) *agent {
	dir, err := os.MkdirTemp("", "fa") // a short path: it is a socket's
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	factory := control.NewFactory()
	cfg := factory.CreateDefaultConfig().(*control.Config)
	cfg.Socket.Path = filepath.Join(dir, "control", "control.sock")
	cfg.Serve = []component.ID{component.MustNewID("served")}
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), testHost{cfg.Serve[0]: &served{routes: routes}}))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return &agent{Extension: ext, Registrar: ext.(operator.Registrar), socket: cfg.Socket.Path}
}

func (a *agent) run(t *testing.T, args ...string) (stdout string, code int) {
	return runCommand(t, append(args, "--socket", a.socket)...)
}

// runCommand runs a command line in this process.
func runCommand(t *testing.T, args ...string) (stdout string, code int) {
	root := &cobra.Command{Use: "foundation-agent", SilenceUsage: true}
	root.AddCommand(New()...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), ExitCode(err)
}

func answering(pattern string, status int, body any) operator.Route {
	return operator.Route{Pattern: pattern, Handler: func(w http.ResponseWriter, _ *http.Request) { door.WriteJSON(w, status, body) }}
}

const hostile = "evil\x1b[31m\u202e\u009b\nname"

func TestTextFromOutsideReachesTheTerminalClean(t *testing.T) {
	a := startAgent(t, answering("GET /v1/flags", http.StatusOK, map[string]any{"flags": []operator.Flag{{Name: hostile, Value: hostile}}}))
	for _, output := range []string{"table", "json"} {
		out, code := a.run(t, "flags", "list", "--output", output)
		require.Zero(t, code)
		require.NotContains(t, out, "\x1b")
		require.NotContains(t, out, "\u202e")
		require.NotContains(t, out, "\u009b")
		require.Contains(t, out, "evil")
	}
	out, _ := a.run(t, "flags", "list", "-o", "json")
	var v struct{ Flags []operator.Flag }
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.Equal(t, hostile, v.Flags[0].Name, "JSON loses nothing")
}

func TestExitCodes(t *testing.T) {
	a := startAgent(t,
		answering("POST /v1/flags/{name}/enable", http.StatusOK, operator.FlagChange{Persisted: false}),
		answering("POST /v1/flags/{name}/disable", http.StatusOK, operator.FlagChange{Persisted: true}),
		answering("POST /v1/flags/reset", http.StatusConflict, map[string]any{"error": door.Error{Code: "no", Message: "no"}}),
		answering("GET /v1/migration/preflight", http.StatusOK, operator.Preflight{Stage: "1", Checks: []operator.PreflightCheck{{Name: "storage"}}}),
	)
	for line, want := range map[string]int{
		"flags disable x":          0,
		"flags enable":             ExitUsage,
		"flags enable x --nope":    ExitUsage,
		"flags list --output xml":  ExitUsage,
		"flags percentage x y":     ExitUsage,
		"flags set x":              ExitUsage,
		"flags reset":              ExitUsage,
		"flags get x":              ExitRefused, // no such route here
		"flags reset --all":        ExitRefused,
		"flags enable x":           ExitNotPersisted,
		"preflight":                ExitUnhealthy,
		"diagnostics run":          0,
		"diagnostics run zzz":      ExitRefused,
		"events emit x --count 0":  ExitUsage,
		"tables restore /nonexist": ExitFailure,
	} {
		_, code := a.run(t, strings.Fields(line)...)
		require.Equal(t, want, code, line)
	}
	_, code := runCommand(t, "status", "--socket", "/nonexistent/control.sock")
	require.Equal(t, ExitUnreachable, code)
}

func TestAnAgentOfAnotherUserIsNotSpokenTo(t *testing.T) {
	var called atomic.Bool
	a := startAgent(t, operator.Route{Pattern: "GET /v1/secret", Handler: func(http.ResponseWriter, *http.Request) { called.Store(true) }})
	_, err := newClient(a.socket, func(uint32) bool { return false }).call(t.Context(), request{method: http.MethodGet, path: "/v1/secret"})
	require.Equal(t, ExitUnreachable, ExitCode(err))
	require.ErrorContains(t, err, "--allow-uid")
	require.False(t, called.Load())
}

func TestWhoIsTrusted(t *testing.T) {
	me := uint32(os.Geteuid())
	o := &options{allowUIDs: []uint{4242}}
	require.True(t, o.trusts(me))
	require.True(t, o.trusts(0))
	require.True(t, o.trusts(4242))
	require.Equal(t, me == 0, o.trusts(4243), "only root speaks to anyone")
}

func TestAuthorAndReasonAreSent(t *testing.T) {
	a := startAgent(t, operator.Route{Pattern: "POST /v1/flags/{name}/enable", Handler: func(w http.ResponseWriter, r *http.Request) {
		caller := operator.CallerOf(r)
		door.WriteJSON(w, http.StatusOK, operator.FlagChange{Persisted: true, Flags: []operator.Flag{{Name: caller.Name + "/" + caller.Reason}}})
	}})
	out, code := a.run(t, "flags", "enable", "x", "--author", "änn", "--reason", "stage 1 & more")
	require.Zero(t, code)
	require.Contains(t, out, "änn/stage 1 & more")
}

// memoryTable is a table whose content is a text.
type memoryTable struct{ content string }

func (*memoryTable) Name() string { return "memory/table" }
func (*memoryTable) Info() operator.TableInfo {
	return operator.TableInfo{Entries: 6, Bytes: 2048, MaxBytes: 4096}
}

func (m *memoryTable) Backup(_ context.Context, w io.Writer) (time.Duration, error) {
	_, err := io.WriteString(w, m.content)
	return 1234 * time.Microsecond, err
}

func (m *memoryTable) Restore(_ context.Context, r io.Reader) (operator.Restoration, error) {
	content, err := io.ReadAll(r)
	return operator.Restoration{Apply: func() (int64, error) {
		m.content = string(content)
		return int64(len(content)), nil
	}}, err
}

func TestBackupFileComesBack(t *testing.T) {
	a := startAgent(t)
	table := &memoryTable{content: "before"}
	t.Cleanup(a.RegisterTable(table))
	file := filepath.Join(t.TempDir(), "tables.tar.zst")
	out, code := a.run(t, "tables", "backup", file)
	require.Zero(t, code)
	require.Contains(t, out, "memory/table")
	require.Contains(t, out, "1.234ms")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	table.content = "after"
	_, code = a.run(t, "tables", "restore", file)
	require.Zero(t, code)
	require.Equal(t, "before", table.content)

	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, whole[:len(whole)-1], 0o600))
	table.content = "after"
	_, code = a.run(t, "tables", "restore", file)
	require.Equal(t, ExitRefused, code)
	require.Equal(t, "after", table.content)

	out, code = a.run(t, "tables", "info")
	require.Zero(t, code)
	require.Contains(t, out, "2.0 KiB")
}

func TestCutOffBackupLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tables.tar.zst")
	require.NoError(t, os.WriteFile(file, []byte("the one before"), 0o600))
	_, err := saveBackup(file, strings.NewReader("not a backup"))
	require.Error(t, err)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "the one before", string(content))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestTailShowsWhatPasses(t *testing.T) {
	a := startAgent(t)
	tap := operator.NewTap("span_lifecycle")
	t.Cleanup(a.RegisterTap(tap))
	logs := plog.NewLogs()
	scope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, body := range []string{"first", "second\x1b[31m", "third"} {
		record := scope.LogRecords().AppendEmpty()
		record.Body().SetStr(body)
		record.Attributes().PutStr("error_context.request_id", "r-"+body)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond): // the tail may not watch yet
				tap.Observe(logs)
			}
		}
	}()
	out, code := a.run(t, "logs", "tail", "--grep", "request_id=r-sec", "--count", "2")
	close(stop)
	<-stopped
	require.Zero(t, code)
	require.NotContains(t, out, "first")
	require.NotContains(t, out, "\x1b")
	require.Equal(t, 2, strings.Count(out, "error_context.request_id=r-second"))

	start := time.Now()
	_, code = a.run(t, "logs", "tail", "--for", "50ms")
	require.Zero(t, code)
	require.Less(t, time.Since(start), 10*time.Second)
}

func TestDiagnosticsPage(t *testing.T) {
	a := startAgent(t)
	t.Cleanup(a.RegisterCheck(checkOf{}))
	file := filepath.Join(t.TempDir(), "d.html")
	out, code := a.run(t, "diagnostics", "run", "dedup", "--html", file)
	require.Equal(t, ExitUnhealthy, code)
	require.Contains(t, out, "FAILED")
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(page), "emit a pair")
}

type checkOf struct{}

func (checkOf) Name() string { return "dedup" }
func (checkOf) Run(context.Context) operator.CheckResult {
	return operator.CheckResult{Steps: []operator.CheckStep{{Name: "emit a pair", Took: time.Millisecond, Budget: time.Second, Detail: hostile}}}
}

func TestEveryCommandHasHelpAndExample(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.Runnable() {
			require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		}
	}
	for _, cmd := range New() {
		visit(cmd)
	}
}
