package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foundation-agent/foundation-agent/cmd/foundation-agent/commands"
	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// TestEmergencyRollbackWithADeadDisk: no write of the agent reaches the disk any more, and no exporter's
// queue. All flags are false and verified in under a second, and the exit code tells what is not stored.
func TestEmergencyRollbackWithADeadDisk(t *testing.T) {
	a := agenttest.Start(t, agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}, Args: []string{"--config", oneStage}})
	require.True(t, migrate(a, "advance"))
	require.True(t, migrate(a, "advance"))
	require.Equal(t, "2", migrationStatus(t, a).Stage)
	full := unix.Rlimit{Cur: 0, Max: 0}
	require.NoError(t, unix.Prlimit(a.PID(), unix.RLIMIT_FSIZE, &full, nil), "every write fails with EFBIG from now on")

	cmd := exec.Command(agenttest.Binary(t), "migrate", "emergency-rollback", "--reason", "error storm", "--approved-by", "ann", "--output", "json")
	cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+a.StateDir)
	begun := time.Now()
	out, err := cmd.Output()
	took := time.Since(begun)
	require.Error(t, err)
	require.Equal(t, commands.ExitNotPersisted, cmd.ProcessState.ExitCode(), "%s", out)
	var change operator.MigrationChange
	require.NoError(t, json.Unmarshal(out, &change), "%s", out)
	require.True(t, change.Verified)
	require.False(t, change.Persisted)
	for name, on := range change.Flags {
		require.False(t, on, name)
	}
	t.Logf("it took %s, the command's start included", took)
	require.Less(t, took, time.Second)
	s := migrationStatus(t, a)
	require.Equal(t, "none", s.Stage)
	require.False(t, s.Durable)
	a.Kill()
}
