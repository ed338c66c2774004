package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// A block of commands in the documentation. After `sh`, `run` has it run by the test below, in the order of the
// file, against an agent with agent.yaml; `stages` adds stages.yaml; `exit=N` is how it ends (124: it is stopped).
var block = regexp.MustCompile("(?ms)^```sh( run)?( stages)?(?: exit=(\\d+))?\n(.*?)^```$")

// notRun is what a block that is not run may hold: targets that CI runs, starts of the agent, which
// TestShippedConfigurations makes, the chart, which `make kube` checks, and what needs root or a container engine.
var notRun = regexp.MustCompile(`^(make [a-z-]+|mix |go test |.*foundation-agent(-node)? --config |helm |kubectl |sudo |docker |  )`)

// workshop is a folder that looks as a checkout does in which `make run` runs.
type workshop struct{ dir, bin string }

func newWorkshop(t *testing.T, agent *agenttest.Agent) workshop {
	w := workshop{dir: t.TempDir(), bin: t.TempDir()}
	for name, target := range map[string]string{
		"build/foundation-agent": agenttest.Binary(t),
		"config":                 filepath.Join(agenttest.Root(), "config"),
		"var":                    agent.StateDir,
	} {
		path := filepath.Join(w.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.Symlink(target, path))
	}
	require.NoError(t, os.Symlink(agenttest.Binary(t), filepath.Join(w.bin, "foundation-agent")))
	return w
}

// run returns what the script printed and how it ended.
func (w workshop) run(script string, patience time.Duration) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-e", "-c", script)
	sh.Dir, sh.Env = w.dir, append(os.Environ(), "PATH="+w.bin+":"+os.Getenv("PATH"))
	sh.WaitDelay = time.Second // what it left in the background holds its output
	out, _ := sh.CombinedOutput()
	if ctx.Err() != nil {
		return string(out), 124
	}
	return string(out), sh.ProcessState.ExitCode()
}

// Every command of the READMEs and docs is run.
func TestDocumentation(t *testing.T) {
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "*/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(agenttest.Root(), pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	for _, file := range files {
		name, err := filepath.Rel(agenttest.Root(), file)
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			backend := agenttest.StartBackend(t)
			workshops := map[string]workshop{} // by configuration
			for _, m := range block.FindAllStringSubmatch(string(text), -1) {
				stages, script := m[2], m[4]
				if m[1] == "" {
					for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
						require.Regexp(t, notRun, line, "a block that is not run")
					}
					continue
				}
				if _, started := workshops[stages]; !started {
					o := agenttest.Options{Shipped: []string{"agent.yaml"}, Args: exportTo(t, backend, time.Second)}
					if stages != "" {
						o.Shipped = append(o.Shipped, "stages.yaml")
					}
					workshops[stages] = newWorkshop(t, agenttest.Start(t, o))
				}
				want, _ := strconv.Atoi(m[3]) // none is 0
				patience := time.Minute
				if want == 124 {
					patience = 2 * time.Second
				}
				out, code := workshops[stages].run(script, patience)
				require.Equal(t, want, code, "%s\n%s", script, out)
			}
			if name == "README.md" {
				requireExamplesTold(backend)
			}
		})
	}
}

// requireExamplesTold waits for what the README says of its examples.
func requireExamplesTold(backend *agenttest.Backend) {
	backend.WaitLogs("a flood's summary, and a record with its context", func(records []agenttest.LogRecord) bool {
		var counted float64
		var withContext bool
		for _, r := range records {
			if r.EventName() == "payment.declined" {
				counted += weight(r)
			}
			id, ok := r.Attributes().Get("error_context.request_id")
			withContext = withContext || ok && id.Str() == "r-1"
		}
		return counted == 10_000 && withContext
	})
	backend.WaitSpans("the span of the process that died", func(spans []agenttest.Span) bool {
		for _, s := range spans {
			if reason, ok := s.Attributes().Get(attr.EndReason); ok && s.Name() == "checkout" && reason.Str() == "agent_down" {
				return true
			}
		}
		return false
	})
}
