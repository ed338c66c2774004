//go:build kube

// Package deploy checks the chart and the manifests against a real API server. There is no kubelet: nothing
// of what is accepted here is run here.
package deploy

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// cluster is etcd and an API server on loopback.
type cluster struct {
	t          *testing.T
	kubeconfig string
}

func tool(name string) string { return filepath.Join(os.Getenv("KUBE_BIN"), name) }

func startCluster(t *testing.T) *cluster {
	dir := t.TempDir()
	etcd, peer, api := agenttest.FreePort(t), agenttest.FreePort(t), agenttest.FreePort(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keyFile := filepath.Join(dir, "sa.key")
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	tokens := filepath.Join(dir, "tokens.csv")
	require.NoError(t, os.WriteFile(tokens, []byte(`test-token,admin,admin,"system:masters"`+"\n"), 0o600))

	etcdURL := fmt.Sprintf("http://127.0.0.1:%d", etcd)
	// Cleanups run last in, first out: the API server stops before etcd.
	start(t, tool("server"), "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", peer))
	start(t, tool("kube-apiserver"), "--etcd-servers", etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", api), "--cert-dir", filepath.Join(dir, "certs"), "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file", keyFile,
		"--service-account-signing-key-file", keyFile, "--token-auth-file", tokens, "--authorization-mode=RBAC",
		"--allow-privileged=true", "--endpoint-reconciler-type=none", "--enable-priority-and-fairness=false")
	kubeconfig := filepath.Join(dir, "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: test-token}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, api)), 0o600))
	c := &cluster{t: t, kubeconfig: kubeconfig}
	require.Eventually(t, func() bool {
		_, err := c.kubectl("", "get", "--raw", "/readyz")
		return err == nil
	}, 2*time.Minute, 200*time.Millisecond, "API server")
	return c
}

func start(t *testing.T, name string, args ...string) {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, out.String()[max(0, out.Len()-3000):])
		}
	})
}

func (c *cluster) kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.Command(tool("kubectl"), append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func helm(t *testing.T, args ...string) string {
	out, err := exec.Command(tool("helm"), args...).CombinedOutput()
	require.NoError(t, err, "helm %v: %s", args, out)
	return string(out)
}

var modes = map[string][]string{
	"sidecar":   {"--set", "mode=sidecar", "--set", "application.image=shop:1", "--set-json", `application.ports=[{"containerPort":8080}]`},
	"daemonset": {"--set", "mode=daemonset"},
	"host":      {"--set", "mode=daemonset", "--set", "daemonset.host=true"},
	"gateway":   {"--set", "mode=gateway"},
	"sender": {"--set", "mode=sidecar", "--set", "application.image=shop:1", "--set", "image.repository=foundation-agent-node",
		"--set", "overlays={to-gateways.yaml}", "--set-json", `env=[{"name":"FOUNDATION_GATEWAYS","value":"gateway.observability.svc"}]`},
	"everything": {"--set", "mode=gateway", "--set-json", `config=[{"service":{"telemetry":{"logs":{"level":"debug"}}}}]`, "--set", "export.headersSecret=headers", "--set", "gateway.storage.storageClassName=fast", "--set", "resources.limits.memory=2Gi"},
}

// An API server takes every object of every mode, and, under the restricted pod security standard, those of
// the modes that promise it.
func TestChartIsAccepted(t *testing.T) {
	c := startCluster(t)
	for _, ns := range []string{"apps", "restricted"} {
		out, err := c.kubectl("", "create", "namespace", ns)
		require.NoError(t, err, out)
	}
	out, err := c.kubectl("", "label", "namespace", "restricted", "pod-security.kubernetes.io/enforce=restricted")
	require.NoError(t, err, out)
	for name, set := range modes {
		t.Run(name, func(t *testing.T) {
			helm(t, append([]string{"lint", "--strict", "chart"}, set...)...)
			for _, ns := range []string{"apps", "restricted"} {
				if ns == "restricted" && (name == "daemonset" || name == "host") {
					continue // hostPID and hostPath: no restricted namespace takes them
				}
				manifest := helm(t, append([]string{"template", "agent", "chart", "--namespace", ns}, set...)...)
				out, err := c.kubectl(manifest, "--namespace", ns, "create", "--dry-run=server", "--validate=strict", "-f", "-")
				require.NoError(t, err, out)
				require.NotContains(t, out, "Warning: would violate PodSecurity")
				t.Log("\n" + out)
			}
		})
	}
}

// A probe that Kubernetes does not know is refused: the check above can fail.
func TestBrokenChartIsRefused(t *testing.T) {
	c := startCluster(t)
	manifest := helm(t, append([]string{"template", "agent", "chart", "--namespace", "default"}, modes["gateway"]...)...)
	broken := strings.Replace(manifest, "periodSeconds: 1\n", "periodSecond: 1\n", 1)
	require.NotEqual(t, manifest, broken)
	out, err := c.kubectl(broken, "create", "--dry-run=server", "--validate=strict", "-f", "-")
	require.Error(t, err, out)
}

// The plain manifests are the chart's, as `make manifests` writes them, and an API server takes them.
func TestManifests(t *testing.T) {
	c := startCluster(t)
	out, err := c.kubectl("", "create", "namespace", "observability")
	require.NoError(t, err, out)
	for _, mode := range []string{"sidecar", "daemonset", "gateway"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join("manifests", mode+".yaml")
			manifest, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, helm(t, "template", "foundation-agent", "chart", "--namespace", "observability", "--set", "mode="+mode,
				"--set", "application.image=your-application"), string(manifest), "run make manifests")
			out, err := c.kubectl("", "--namespace", "observability", "create", "--dry-run=server", "--validate=strict", "-f", path)
			require.NoError(t, err, out)
		})
	}
}

// The pods that the chart's controllers would make are taken too: with the chart's ServiceAccount, and only with it.
func TestPodsAreAccepted(t *testing.T) {
	c := startCluster(t)
	for _, mode := range []string{"sidecar", "daemonset", "gateway"} {
		t.Run(mode, func(t *testing.T) {
			out, err := c.kubectl("", "create", "namespace", mode)
			require.NoError(t, err, out)
			manifest := helm(t, append([]string{"template", "agent", "chart", "--namespace", mode}, modes[mode]...)...)
			pod := podOf(t, manifest)
			out, err = c.kubectl(pod, "--namespace", mode, "create", "--dry-run=server", "--validate=strict", "-f", "-")
			require.Error(t, err, out)
			require.Contains(t, out, "serviceaccount")
			out, err = c.kubectl(manifest, "--namespace", mode, "create", "-f", "-")
			require.NoError(t, err, out)
			out, err = c.kubectl(pod, "--namespace", mode, "create", "--dry-run=server", "--validate=strict", "-f", "-")
			require.NoError(t, err, out)
		})
	}
}

// podOf is a pod as the manifest's Deployment, DaemonSet or StatefulSet describes it.
func podOf(t *testing.T, manifest string) string {
	decoder := yaml.NewDecoder(strings.NewReader(manifest))
	for {
		var object map[string]any
		require.NoError(t, decoder.Decode(&object), "no pod template in the manifest")
		spec, _ := object["spec"].(map[string]any)
		template, ok := spec["template"].(map[string]any)
		if !ok {
			continue
		}
		inner := template["spec"].(map[string]any)
		if claims, _ := spec["volumeClaimTemplates"].([]any); len(claims) > 0 { // a StatefulSet's controller adds these
			inner["volumes"] = append(inner["volumes"].([]any), map[string]any{"name": "state", "emptyDir": map[string]any{}})
		}
		pod, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "pod"}, "spec": inner})
		require.NoError(t, err)
		return string(pod)
	}
}

func TestValuesSchema(t *testing.T) {
	for _, wrong := range []string{"mode=desktop", "export.endpoint=gateway:4317", "resources.limits.memory=lots", "gateway.replica=2"} {
		out, err := exec.Command(tool("helm"), "template", "agent", "chart", "--set", wrong).CombinedOutput()
		require.Error(t, err, "%s: %s", wrong, out)
	}
}
