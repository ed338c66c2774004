package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/browsertest"
)

// TestStatusPage looks at the page of the built agent in a browser while a stage is advanced and rolled back.
func TestStatusPage(t *testing.T) {
	b := browsertest.Start(t)
	a := agenttest.Start(t, agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}, Args: []string{"--config", oneStage}})
	origin := "http://" + a.StatusPage
	b.Viewport(1200, "light")
	b.Call("Page.navigate", map[string]any{"url": origin + "/"}, nil)
	shows := func(what, expression string) {
		t.Helper()
		require.Eventually(t, func() bool { return b.Eval(`document.readyState === "complete" && `+expression) == true },
			30*time.Second, 50*time.Millisecond, what)
	}
	flagIs := func(value string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#flags tr")].some(r => r.textContent.includes("enable_migration_monitoring") && r.cells[1].textContent === %q)`, value)
	}
	shows("the flag is off", flagIs("false"))
	shows("it is live", `document.getElementById("live").textContent.endsWith("live")`)
	b.Eval(`window.sameDocument = true`)

	require.True(t, migrate(a, "advance"))
	shows("the flag that the stage has set", flagIs("true"))
	shows("the stage's place in the history", `document.body.textContent.includes("advance")`)
	b.Screenshot("built-agent-stage-1")
	require.True(t, migrate(a, "emergency-rollback"))
	shows("the flag that the rollback has set", flagIs("false"))
	shows("the rollback in the history", `document.body.textContent.includes("emergency_rollback")`)
	require.Equal(t, true, b.Eval(`window.sameDocument === true`), "without a reload")
	b.RequireQuiet(origin)

	// It is for reading: nothing that changes is served beside it.
	for _, path := range []string{"/", "/live", "/v1/migration/advance", "/v1/flags/enable_migration_monitoring"} {
		resp, err := http.Post(origin+path, "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusForbidden}, resp.StatusCode, path)
	}
	require.Equal(t, "none", migrationStatus(t, a).Stage)
}
