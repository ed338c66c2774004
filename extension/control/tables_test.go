package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/backup"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// textTable is a table whose whole content is a text.
type textTable struct {
	name, content string
	before        string // the last restore
	applyErr      error
	cleaned       int
	restoredBy    operator.Caller
}

func (t *textTable) Name() string { return t.name }

func (*textTable) Info() operator.TableInfo {
	return operator.TableInfo{Entries: 5, Bytes: 5, Persisted: true}
}

func (t *textTable) Backup(_ context.Context, w io.Writer) (time.Duration, error) {
	_, err := io.WriteString(w, t.content)
	return time.Millisecond, err
}

func (t *textTable) Restore(ctx context.Context, r io.Reader) (operator.Restoration, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return operator.Restoration{}, err
	}
	if bytes.HasPrefix(content, []byte("bad")) {
		return operator.Restoration{}, errors.New("bad image")
	}
	t.restoredBy, _ = operator.CallerIn(ctx)
	return operator.Restoration{
		Apply: func() (int64, error) {
			t.before, t.content = t.content, string(content)
			return int64(len(content)), t.applyErr
		},
		Undo: func() error {
			t.content = t.before
			return nil
		},
	}, nil
}

func (t *textTable) Cleanup(context.Context) (int64, error) {
	t.cleaned++
	if t.name == "b" {
		return 0, errors.New("cannot")
	}
	return 7, nil
}

func withTables(t *testing.T) (client *http.Client, a, b *textTable) {
	cfg := testConfig(t)
	c := startControl(t, cfg, nil)
	a, b = &textTable{name: "a", content: "alpha"}, &textTable{name: "b", content: "beta"}
	t.Cleanup(c.RegisterTable(a))
	t.Cleanup(c.RegisterTable(b))
	return overSocket(t, cfg.Socket.Path), a, b
}

func post(t *testing.T, client *http.Client, url string, body []byte) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

func TestTablesAreListed(t *testing.T) {
	client, _, _ := withTables(t)
	_, body := do(t, client, http.MethodGet, "http://agent/v1/tables?table=a")
	var answer struct{ Tables []operator.TableView }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, []operator.TableView{{
		Name: "a", TableInfo: operator.TableInfo{Entries: 5, Bytes: 5, Persisted: true}, Can: []string{"backup", "restore", "cleanup"},
	}}, answer.Tables)

	status, body := do(t, client, http.MethodGet, "http://agent/v1/tables?table=zzz")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "there are: a, b")
}

func TestBackupComesBack(t *testing.T) {
	client, a, b := withTables(t)
	status, file := post(t, client, "http://agent/v1/tables/backup", nil)
	require.Equal(t, http.StatusOK, status)
	_, manifest, err := backup.Verify(bytes.NewReader([]byte(file)), 1<<20)
	require.NoError(t, err)
	require.Len(t, manifest.Tables, 2)
	require.Equal(t, time.Millisecond, manifest.Tables[0].LongestPause)

	a.content, b.content = "changed", "changed"
	status, body := post(t, client, "http://agent/v1/tables/restore?author=ann", []byte(file))
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "alpha", a.content)
	require.Equal(t, "beta", b.content)
	require.Equal(t, "ann", a.restoredBy.Name)
}

func TestNamedTablesAlone(t *testing.T) {
	client, a, b := withTables(t)
	_, file := post(t, client, "http://agent/v1/tables/backup", nil)
	a.content, b.content = "changed", "changed"
	status, _ := post(t, client, "http://agent/v1/tables/restore?table=b", []byte(file))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "changed", a.content)
	require.Equal(t, "beta", b.content)

	_, onlyA := post(t, client, "http://agent/v1/tables/backup?table=a", nil)
	status, body := post(t, client, "http://agent/v1/tables/restore?table=b", []byte(onlyA))
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, body, `has no table`)
}

func TestNothingChangesWhenOneTableIsRefused(t *testing.T) {
	client, a, b := withTables(t)
	a.content, b.content = "good", "bad"
	_, file := post(t, client, "http://agent/v1/tables/backup", nil)
	a.content, b.content = "alpha", "beta"

	for name, tt := range map[string]struct {
		file []byte
		code string
	}{
		"image refused": {[]byte(file), "backup_refused"},
		"foreign":       {[]byte("hello"), "backup_foreign"},
		"cut off":       {[]byte(file)[:len(file)-20], "backup_"},
		"other table":   {backupOf(t, "zzz", "x"), "unknown_table"},
	} {
		status, body := post(t, client, "http://agent/v1/tables/restore", tt.file)
		require.Equal(t, http.StatusUnprocessableEntity, status, name)
		require.Contains(t, body, tt.code, name)
		require.Equal(t, []string{"alpha", "beta"}, []string{a.content, b.content}, name)
	}
}

func TestTooLargeBackupIsRefused(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxRestoreBytes = 1 << 20
	c := startControl(t, cfg, nil)
	a := &textTable{name: "a", content: "alpha"}
	t.Cleanup(c.RegisterTable(a))
	status, body := post(t, overSocket(t, cfg.Socket.Path), "http://agent/v1/tables/restore", backupOf(t, "a", string(make([]byte, 2<<20))))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Contains(t, body, "backup_too_large")
	require.Equal(t, "alpha", a.content)
}

func TestFailureInTheMiddleIsUndone(t *testing.T) {
	client, a, b := withTables(t)
	_, file := post(t, client, "http://agent/v1/tables/backup", nil)
	a.content, b.content = "changed", "changed too"
	b.applyErr = errors.New("disk full")
	status, body := post(t, client, "http://agent/v1/tables/restore", []byte(file))
	require.Equal(t, http.StatusInternalServerError, status)
	require.Contains(t, body, "disk full")
	require.Equal(t, "changed", a.content)
	require.Equal(t, "changed too", b.content)
}

// A crash after the intent was written leaves the restore to the next start, whatever had been applied by then.
func TestRestoreThatWasCutShortIsCompleted(t *testing.T) {
	cfg := testConfig(t)
	dir := filepath.Dir(cfg.Socket.Path)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	staged := &tables{intents: intents{dir}, limit: 1 << 20}
	a, b := &textTable{name: "a", content: "alpha"}, &textTable{name: "b", content: "beta"}
	by := operator.Caller{Name: "ann", Reason: "lost the disk"}
	_, err := staged.intents.stage(bytes.NewReader(backupOf(t, "a", "new", "b", "newer")), by, func(body io.Reader) ([]prepared, error) {
		return staged.prepare(t.Context(), body, []operator.Table{a, b}, false)
	})
	require.NoError(t, err)
	require.Equal(t, "alpha", a.content)

	c := startControl(t, cfg, nil)
	client := overSocket(t, cfg.Socket.Path)
	t.Cleanup(c.RegisterTable(a))
	require.Equal(t, "new", a.content)
	require.Equal(t, by, a.restoredBy)
	status, body := post(t, client, "http://agent/v1/tables/restore", backupOf(t, "a", "other"))
	require.Equal(t, http.StatusConflict, status, body)
	t.Cleanup(c.RegisterTable(b))
	require.Equal(t, "newer", b.content)
	require.NoError(t, c.Ready())
	left, err := filepath.Glob(filepath.Join(dir, "restore*"))
	require.NoError(t, err)
	require.Empty(t, left)
	status, body = post(t, client, "http://agent/v1/tables/restore", backupOf(t, "a", "other"))
	require.Equal(t, http.StatusOK, status, body)
}

func TestRestoreThatCannotBeCompletedIsKept(t *testing.T) {
	cfg := testConfig(t)
	dir := filepath.Dir(cfg.Socket.Path)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	file := backupOf(t, "a", "new", "gone", "newer")
	require.NoError(t, os.WriteFile(filepath.Join(dir, stagedFile), file, 0o600))
	require.NoError(t, intents{dir}.put(intent{Tables: []string{"a", "gone"}}))
	c := startControl(t, cfg, nil)
	a := &textTable{name: "a"}
	t.Cleanup(c.RegisterTable(a))
	require.NoError(t, c.Ready())
	require.Equal(t, "new", a.content)
	kept, err := os.ReadFile(filepath.Join(dir, failedFile))
	require.NoError(t, err)
	require.Equal(t, file, kept)
	require.NoFileExists(t, filepath.Join(dir, intentFile))
}

func TestOperationsGoOnAfterAFailure(t *testing.T) {
	client, a, b := withTables(t)
	status, body := post(t, client, "http://agent/v1/tables/cleanup", nil)
	require.Equal(t, http.StatusInternalServerError, status)
	require.Contains(t, body, `"entries":7`)
	require.Contains(t, body, "cannot")
	require.Equal(t, []int{1, 1}, []int{a.cleaned, b.cleaned})

	status, body = post(t, client, "http://agent/v1/tables/rebuild?table=a", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "cannot do this")
}

// backupOf is a backup of tables by name and content.
func backupOf(t *testing.T, namesAndContents ...string) []byte {
	var file bytes.Buffer
	b, err := backup.NewWriter(&file, "test")
	require.NoError(t, err)
	for i := 0; i < len(namesAndContents); i += 2 {
		require.NoError(t, b.Table(namesAndContents[i], func(w io.Writer) (time.Duration, error) {
			_, err := io.WriteString(w, namesAndContents[i+1])
			return 0, err
		}))
	}
	require.NoError(t, b.Close())
	return file.Bytes()
}
