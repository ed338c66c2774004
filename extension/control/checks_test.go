package control

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

type funcCheck struct {
	name string
	run  func(context.Context) operator.CheckResult
}

func (c *funcCheck) Name() string                                 { return c.name }
func (c *funcCheck) Run(ctx context.Context) operator.CheckResult { return c.run(ctx) }

func well(context.Context) operator.CheckResult {
	return operator.CheckResult{OK: true, Steps: []operator.CheckStep{{Name: "work", OK: true, Took: time.Millisecond, Budget: time.Second}}}
}

func hangs(ctx context.Context) operator.CheckResult {
	<-ctx.Done()
	time.Sleep(10 * time.Millisecond) // it ends, but too late
	return operator.CheckResult{OK: true}
}

func TestChecksRun(t *testing.T) {
	cfg := testConfig(t)
	cfg.CheckTimeout = 20 * time.Millisecond
	c := startControl(t, cfg, nil)
	t.Cleanup(c.RegisterCheck(&funcCheck{"well", well}))
	removeHanging := c.RegisterCheck(&funcCheck{"hanging", hangs})
	client := overSocket(t, cfg.Socket.Path)

	run := func(query string) operator.Diagnostics {
		status, body := post(t, client, "http://agent/v1/diagnostics/run"+query, nil)
		require.Equal(t, http.StatusOK, status, body)
		var d operator.Diagnostics
		require.NoError(t, json.Unmarshal([]byte(body), &d))
		return d
	}
	all := run("")
	require.False(t, all.OK)
	require.Len(t, all.Checks, 2)
	require.Equal(t, "hanging", all.Checks[0].Name)
	require.Contains(t, all.Checks[0].Steps[0].Detail, "did not end")
	require.True(t, run("?component=well").OK)

	status, body := post(t, client, "http://agent/v1/diagnostics/run?component=zzz", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "there are: hanging, well")

	removeHanging()
	require.True(t, run("").OK)
}
