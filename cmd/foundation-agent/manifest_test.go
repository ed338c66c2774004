package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

type manifest struct {
	Providers []struct {
		GoMod string `yaml:"gomod"`
	} `yaml:"providers"`
}

func readManifest(t *testing.T) (manifest, map[string]any) {
	raw, err := os.ReadFile(filepath.Join(agenttest.Root(), "builder-config.yaml"))
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.Unmarshal(raw, &m))
	var all map[string]any
	require.NoError(t, yaml.Unmarshal(raw, &all))
	return m, all
}

// components.go is what ocb makes of the manifest now.
func TestComponentsMatchManifest(t *testing.T) {
	_, all := readManifest(t)
	dir := t.TempDir()
	all["dist"].(map[string]any)["output_path"] = dir
	raw, err := yaml.Marshal(all)
	require.NoError(t, err)
	file := filepath.Join(dir, "manifest.yaml")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	ocb := exec.Command("go", "tool", "-modfile=tools/go.mod", "builder",
		"--config="+file, "--skip-get-modules", "--skip-compilation")
	ocb.Dir = agenttest.Root()
	out, err := ocb.CombinedOutput()
	require.NoError(t, err, string(out))
	want, err := os.ReadFile(filepath.Join(dir, "components.go"))
	require.NoError(t, err)
	have, err := os.ReadFile("components.go")
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "run make generate")
}

// The node distribution has every component of ours that the sidecar has.
func TestNodeHoldsOurComponents(t *testing.T) {
	node, err := os.ReadFile(filepath.Join(agenttest.Root(), "builder-config-node.yaml"))
	require.NoError(t, err)
	sidecar, err := os.ReadFile(filepath.Join(agenttest.Root(), "builder-config.yaml"))
	require.NoError(t, err)
	imports := regexp.MustCompile(`import: (\S+)`).FindAllStringSubmatch(string(sidecar), -1)
	require.NotEmpty(t, imports)
	for _, found := range imports {
		require.Contains(t, string(node), found[1])
	}
}

// The providers of main.go are those of the manifest: ocb writes them into its own main.go, which is not used.
func TestProvidersMatchManifest(t *testing.T) {
	m, _ := readManifest(t)
	var want []string
	for _, p := range m.Providers {
		want = append(want, p.GoMod)
	}
	var have []string
	for _, factory := range providers() {
		scheme := factory.Create(confmap.ProviderSettings{}).Scheme()
		have = append(have, "go.opentelemetry.io/collector/confmap/provider/"+scheme+"provider v1.67.0")
	}
	require.ElementsMatch(t, want, have)
}
