// Package peers builds the collectors that the agent is compared with, by ocb from the manifests beside this file.
package peers

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

//go:embed *.yaml
var manifests embed.FS

var (
	core   = regexp.MustCompile(`otlpreceiver (v\S+)`)
	output = regexp.MustCompile(`output_path: .*`)
)

// Build returns the binary of the manifest name.yaml. It is kept in build/peers under the hash of its manifest,
// so that only a change of the manifest builds it again.
func Build(t testing.TB, name string) string {
	t.Helper()
	manifest, err := manifests.ReadFile(name + ".yaml")
	require.NoError(t, err)
	dir := filepath.Join(agenttest.Root(), "build", "peers", fmt.Sprintf("%s-%x", name, sha256.Sum256(manifest))[:len(name)+13])
	binary := filepath.Join(dir, name)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	t.Logf("building %s by ocb (once)", name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, "manifest.yaml")
	require.NoError(t, os.WriteFile(file, output.ReplaceAll(manifest, []byte("output_path: "+dir)), 0o600))
	// A collector is built by the ocb of its own version.
	ocb := exec.Command("go", "run", "go.opentelemetry.io/collector/cmd/builder@"+string(core.FindSubmatch(manifest)[1]), "--config", file)
	ocb.Dir = dir
	ocb.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	out, err := ocb.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}
