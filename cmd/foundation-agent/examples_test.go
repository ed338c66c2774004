package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/cmd/foundation-agent/commands"
	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// stopped is how timeout(1) exits when the command was still at work.
const stopped = 124

// mayEnd are the exit codes beside 0 with which an example may end on an agent that has just started, and
// in which the examples before it have left flags set and work under way.
var mayEnd = map[string][]int{
	"foundation-agent baseline collect": {stopped, commands.ExitRefused}, // a day is long; one at a time
	"foundation-agent baseline compare": {commands.ExitRefused},          // none is complete
	"foundation-agent baseline delete":  {commands.ExitRefused},          // it is being collected
	"foundation-agent migrate advance":  {commands.ExitRefused},          // flags are not as the stage wants them
	"foundation-agent migrate finalize": {commands.ExitRefused},          // far from the last stage
	"foundation-agent migrate rehearse": {stopped},
	"foundation-agent migrate rollback": {commands.ExitRefused},   // a rehearsal is under way
	"foundation-agent migrate verify":   {commands.ExitUnhealthy}, // nothing has soaked yet
	"foundation-agent preflight":        {commands.ExitUnhealthy}, // likewise
}

// exampleOf is one line of a command's help.
type exampleOf struct{ command, line string }

func examples(cmd *cobra.Command) (all []exampleOf) {
	for _, line := range strings.Split(cmd.Example, "\n") {
		if line = strings.TrimSpace(line); line != "" && cmd.HasParent() {
			all = append(all, exampleOf{cmd.CommandPath(), line})
		}
	}
	for _, sub := range cmd.Commands() {
		all = append(all, examples(sub)...)
	}
	return all
}

// TestExamples runs every example of every operators' command, in a shell, against the built agent.
func TestExamples(t *testing.T) {
	a := agenttest.Start(t, agenttest.Options{
		Env:  []string{"FOUNDATION_FLAGS_FILE=" + filepath.Join(agenttest.Root(), "config", "flags.json")},
		Args: []string{"--config", filepath.Join(agenttest.Root(), "config", "stages.yaml")},
	})
	defer a.Stop()
	dir, bin := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(agenttest.Binary(t), filepath.Join(bin, "foundation-agent")))
	require.NoError(t, os.Symlink(filepath.Join(agenttest.Root(), "config"), filepath.Join(dir, "config")))
	shell := func(script string) (string, int) {
		// What would go on for a day is stopped as by Ctrl-C (timeout(1) then exits with 124).
		sh := exec.Command("timeout", "--signal=INT", "3", "sh", "-c", script)
		sh.Dir = dir
		sh.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "FOUNDATION_STATE_DIR="+a.StateDir)
		out, _ := sh.CombinedOutput() // the code says how it ended
		return string(out), sh.ProcessState.ExitCode()
	}
	// What the examples are about: flags that are on, and an agent that lives as long as the example.
	prepare := func(t *testing.T) {
		keeper := exec.Command("sleep", "600")
		require.NoError(t, keeper.Start())
		t.Cleanup(func() {
			_ = keeper.Process.Kill()
			_ = keeper.Wait() // killed: nothing to tell
		})
		t.Setenv("KEEPER", strconv.Itoa(keeper.Process.Pid))
		out, code := shell(`set -e
			foundation-agent flags enable use_ets_agent_registry
			foundation-agent flags enable use_genserver_telemetry
			foundation-agent flags enable use_genserver_span_management
			foundation-agent registry register worker-1 --pid $KEEPER --output json > worker-1.json`)
		require.Zero(t, code, out)
		var registered struct{ Token string }
		content, err := os.ReadFile(filepath.Join(dir, "worker-1.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, &registered))
		t.Setenv("FOUNDATION_AGENT_TOKEN", registered.Token)
		out, code = shell("foundation-agent spans start opened --agent worker-1 --process main")
		require.Zero(t, code, out)
	}
	for _, example := range examples(command()) {
		t.Run(example.line, func(t *testing.T) {
			if strings.Contains(example.line, "worker-1") {
				prepare(t)
			}
			out, code := shell(strings.ReplaceAll(example.line, "FOUNDATION_AGENT_TOKEN=...", ""))
			if code != 0 {
				require.Contains(t, mayEnd[example.command], code, out)
			}
		})
	}
}
