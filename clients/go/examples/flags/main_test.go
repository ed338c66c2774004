package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

const definitions = `{"flags": {"new_checkout": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
  "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}}}}`

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "flags.json")
	require.NoError(t, os.WriteFile(file, []byte(definitions), 0o600))
	agenttest.Start(t, agenttest.Options{Config: fmt.Sprintf(`
receivers: {foundation: {unix: {endpoint: %s/app.sock}, mount: [feature_flags]}}
exporters: {nop: }
extensions: {feature_flags: {files: [%s]}, health_check: }
service:
  extensions: [feature_flags, health_check]
  pipelines: {logs: {receivers: [foundation], exporters: [nop]}}
`, dir, file)})
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), "unix:"+dir+"/app.sock", &out))
	assert.Equal(t, "new_checkout: true\n", out.String())
}

// While the agent is away a flag has its reader's default.
func TestFlagsOfAnAgentThatIsAway(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), "unix:"+t.TempDir()+"/nobody.sock", &out))
	assert.Equal(t, "new_checkout: false\n", out.String())
}
