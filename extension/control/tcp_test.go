package control

import (
	"context"
	"net/http"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/foundation-agent/foundation-agent/extension/control/internal/metadata"
)

// startTCP starts control with the real bearer-token authenticator, and returns its URL.
func startTCP(t *testing.T) (c *control, url string) {
	authFactory := bearertokenauthextension.NewFactory()
	authConfig := authFactory.CreateDefaultConfig().(*bearertokenauthextension.Config)
	authConfig.BearerToken = "secret"
	auth, err := authFactory.Create(t.Context(), extensiontest.NewNopSettings(authFactory.Type()), authConfig)
	require.NoError(t, err)
	authID := component.NewID(authFactory.Type())

	cfg := testConfig(t)
	tcp := cfg.TCP.GetOrInsertDefault()
	tcp.NetAddr.Endpoint = "127.0.0.1:0"
	tcp.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: authID}})
	require.NoError(t, cfg.Validate())
	c, err = newControl(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	host := testHost{servedID: &served{routes: echoRoutes()}, authID: auth}
	require.NoError(t, auth.Start(t.Context(), host))
	require.NoError(t, c.Start(t.Context(), host))
	t.Cleanup(func() {
		require.NoError(t, c.Shutdown(context.Background()))
		require.NoError(t, auth.Shutdown(context.Background()))
	})
	return c, "http://" + c.servers[1].listener.Addr().String()
}

func TestTCPWantsAToken(t *testing.T) {
	c, url := startTCP(t)
	client := plain(t)
	for _, path := range []string{"/v1/status", "/v1/echo"} {
		status, _ := do(t, client, http.MethodGet, url+path)
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	status, _ := do(t, client, http.MethodPost, url+"/v1/echo", "Authorization", "Bearer wrong")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Empty(t, c.audit.list(0), "who is not let in mutates nothing")

	status, _ = do(t, client, http.MethodPost, url+"/v1/echo?author=ann", "Authorization", "Bearer secret")
	require.Equal(t, http.StatusOK, status)
	mutations := c.audit.list(0)
	require.Len(t, mutations, 1)
	require.Nil(t, mutations[0].UID, "nothing is proven by the kernel over TCP")
	require.NotEmpty(t, mutations[0].Remote)
	require.Equal(t, "ann", mutations[0].Author)
}

func TestTCPKeepsBrowsersOut(t *testing.T) {
	_, url := startTCP(t)
	status, body := do(t, plain(t), http.MethodPost, url+"/v1/echo", "Authorization", "Bearer secret", "Origin", "http://evil.example")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "cross_origin")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/status", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer secret")
	req.Host = "evil.example"
	resp, err := plain(t).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}
