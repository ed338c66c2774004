package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/browsertest"
)

func TestPageInABrowser(t *testing.T) {
	state := &shownState{}
	c, url := startPage(t, state)
	for i := range 20 {
		c.sampler.sample(t.Context(), time.Now().Add(time.Duration(i)*time.Second))
	}
	b := browsertest.Start(t)
	b.Viewport(1200, "light")
	b.Call("Page.navigate", map[string]any{"url": url + "/"}, nil)
	text := func(selector string) func() bool {
		return func() bool { return b.Eval(`document.readyState === "complete" && `+selector) == true }
	}
	flagIs := func(value string) func() bool {
		return text(`document.querySelector("#flags td:nth-child(2)").textContent === "` + value + `"`)
	}
	require.Eventually(t, flagIs("false"), 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, text(`document.getElementById("live").textContent.endsWith("live")`), 20*time.Second, 50*time.Millisecond)
	b.Eval(`window.sameDocument = true; document.querySelector("#flags .scroll").focus()`)
	b.Screenshot("light")

	state.flagOn.Store(true)
	require.Eventually(t, flagIs("true"), 20*time.Second, 50*time.Millisecond, "a change shows")
	require.Equal(t, true, b.Eval(`window.sameDocument === true`), "without a reload")
	require.Equal(t, true, b.Eval(`document.activeElement.closest("#flags") !== null`), "focus stays where it was")

	b.Viewport(390, "dark")
	require.Equal(t, true, b.Eval(`document.documentElement.scrollWidth <= 390`), "a phone's width is enough")
	require.Equal(t, "rgb(13, 17, 23)", b.Eval(`getComputedStyle(document.body).backgroundColor`))
	b.Screenshot("dark-phone")

	b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}, nil)
	require.Equal(t, true, b.Eval(`document.activeElement !== document.body`), "it is used by keyboard")

	b.RequireQuiet(url)
}
