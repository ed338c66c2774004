package proc

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startProcess(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestWatcherTellsHowAProcessEnded(t *testing.T) {
	w, err := NewWatcher()
	require.NoError(t, err)
	defer w.Close()
	for script, want := range map[string]Exit{
		"exit 0":                 {Known: true},
		"exit 7":                 {Known: true, Code: 7},
		"kill -TERM $$; sleep 9": {Known: true, Signal: "SIGTERM"},
		"kill -KILL $$":          {Known: true, Signal: "SIGKILL"},
	} {
		for _, reaped := range []bool{false, true} { // a zombie tells as well as one that its parent has waited for
			cmd := exec.Command("sh", "-c", "read x; "+script)
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			p, err := Open(int32(cmd.Process.Pid))
			require.NoError(t, err)
			ended := make(chan Exit, 1)
			_, ok := w.Watch(p, func(e Exit) { ended <- e })
			require.True(t, ok)
			require.NoError(t, in.Close())
			if reaped {
				_ = cmd.Wait()
			}
			select {
			case got := <-ended:
				assert.Equal(t, want, got, "%s, reaped: %t", script, reaped)
			case <-time.After(10 * time.Second):
				t.Fatal("nothing was told")
			}
			_ = cmd.Wait()
		}
	}
}

func TestStoppedWatchTellsNothing(t *testing.T) {
	w, err := NewWatcher()
	require.NoError(t, err)
	cmd := startProcess(t, "sleep 100")
	p, err := Open(int32(cmd.Process.Pid))
	require.NoError(t, err)
	stop, ok := w.Watch(p, func(Exit) { t.Error("told") })
	require.True(t, ok)
	stop()
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	w.Close()
	p, err = Open(int32(os.Getpid()))
	require.NoError(t, err)
	_, ok = w.Watch(p, func(Exit) {})
	assert.False(t, ok, "closed")
}

func TestIdentity(t *testing.T) {
	self, err := Identify(int32(os.Getpid()))
	require.NoError(t, err)
	assert.NotZero(t, self.Start)
	assert.NotEmpty(t, self.Boot)
	assert.False(t, self.Gone())
	reused := self
	reused.Start++
	assert.True(t, reused.Gone())
	rebooted := self
	rebooted.Boot = "another"
	assert.True(t, rebooted.Gone())

	cmd := startProcess(t, "sleep 100")
	id, err := Identify(int32(cmd.Process.Pid))
	require.NoError(t, err)
	assert.False(t, id.Gone())
	require.NoError(t, cmd.Process.Kill())
	require.Eventually(t, id.Gone, 10*time.Second, time.Millisecond, "a zombie is gone")
	_ = cmd.Wait()
	assert.True(t, id.Gone())
	_, err = Open(id.PID)
	assert.ErrorIs(t, err, ErrGone)
	assert.True(t, KnownInsideAs(int32(os.Getpid()), int32(os.Getpid())))
	assert.False(t, KnownInsideAs(int32(os.Getpid()), 1))
	assert.True(t, SharesNetwork(int32(os.Getpid())))
}

func TestParseStat(t *testing.T) {
	st, err := parseStat([]byte("42 (a) b (c)) S " + strings.Repeat("0 ", 18) + "77 " + strings.Repeat("0 ", 29) + "9\n"))
	require.NoError(t, err)
	assert.Equal(t, stat{state: 'S', start: 77, exitCode: 9}, st)
	for _, wrong := range []string{"", "42 (a", "42 (a) S", "42 (a) SS " + strings.Repeat("0 ", 40), "1 (a) S " + strings.Repeat("x ", 40)} {
		_, err := parseStat([]byte(wrong))
		assert.Error(t, err, wrong)
	}
}

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Skip(runtime.GOOS)
	}
	f.Add(own)
	f.Add([]byte("1 (x) Z 1"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseStat(b) })
}
