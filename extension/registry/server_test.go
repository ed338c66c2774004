package registry

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOwnEndpoint(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	x := start(t, "", nil, func(c *Config) { c.HTTP.GetOrInsertDefault().NetAddr.Endpoint = addr })
	x.tcp = "http://" + addr
	var done registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/a", `{}`, "", &done))
	assert.Equal(t, http.StatusOK, x.doTCP(t, "GET", "/v1/agents/a", "", "", nil))

	req, err := http.NewRequest(http.MethodGet, x.tcp+"/v1/agents", nil)
	require.NoError(t, err)
	req.Host = "rebound.example"
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusForbidden, resp.StatusCode, "a page that had its name pointed at us")
}
