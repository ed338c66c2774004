package control

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium, spoken to by the DevTools protocol over a pipe (NUL-separated JSON).
type browser struct {
	t    *testing.T
	out  *os.File
	page string // session of the page

	mu      sync.Mutex
	next    int
	answers map[int]chan json.RawMessage
	events  []devtoolsEvent
}

type devtoolsEvent struct {
	Method string
	Params json.RawMessage
}

// startBrowser opens an empty page; the test is skipped where there is no Chromium.
func startBrowser(t *testing.T) *browser {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here")
	}
	toBrowser, out, err := os.Pipe()
	require.NoError(t, err)
	in, fromBrowser, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // 3 and 4
	require.NoError(t, cmd.Start())
	require.NoError(t, toBrowser.Close())
	require.NoError(t, fromBrowser.Close())
	b := &browser{t: t, out: out, answers: map[int]chan json.RawMessage{}}
	done := make(chan struct{})
	go func() { defer close(done); b.read(in) }()
	t.Cleanup(func() {
		_, _ = out.WriteString(`{"id":0,"method":"Browser.close"}` + "\x00")
		_ = cmd.Wait() // how it ends is no matter
		<-done
		require.NoError(t, out.Close())
		require.NoError(t, in.Close())
	})
	b.open()
	return b
}

func (b *browser) read(in *os.File) {
	messages := bufio.NewReader(in)
	for {
		text, err := messages.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Result json.RawMessage
			devtoolsEvent
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if answer, ok := b.answers[m.ID]; ok {
			delete(b.answers, m.ID)
			answer <- m.Result
		} else {
			b.events = append(b.events, m.devtoolsEvent)
		}
		b.mu.Unlock()
	}
}

// call makes one call and decodes its result.
func (b *browser) call(method string, params map[string]any, result any) {
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan json.RawMessage, 1)
	b.answers[id] = answer
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method, "params": params}
	if b.page != "" {
		message["sessionId"] = b.page
	}
	text, err := json.Marshal(message)
	require.NoError(b.t, err)
	_, err = b.out.Write(append(text, 0))
	require.NoError(b.t, err)
	select {
	case got := <-answer:
		if result != nil {
			require.NoError(b.t, json.Unmarshal(got, result))
		}
	case <-time.After(30 * time.Second):
		require.Fail(b.t, "the browser does not answer", method)
	}
}

func (b *browser) open() {
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.page = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
}

// eval returns the value of an expression in the page.
func (b *browser) eval(expression string) (value any) {
	var answer struct{ Result struct{ Value any } }
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	return answer.Result.Value
}

// screenshot is kept where FOUNDATION_SCREENSHOTS names a directory, for people to look at.
func (b *browser) screenshot(name string) {
	dir := os.Getenv("FOUNDATION_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &picture)
	content, err := base64.StdEncoding.DecodeString(picture.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(dir+"/"+name+".png", content, 0o600))
}

// viewport sets the window's width and whether the reader prefers the dark.
func (b *browser) viewport(width int, scheme string) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// told returns the events of a kind.
func (b *browser) told(method string) (params []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Method == method {
			params = append(params, string(e.Params))
		}
	}
	return params
}

func TestPageInABrowser(t *testing.T) {
	state := &shownState{}
	c, url := startPage(t, state)
	for i := range 20 {
		c.sampler.sample(t.Context(), time.Now().Add(time.Duration(i)*time.Second))
	}
	b := startBrowser(t)
	b.viewport(1200, "light")
	b.call("Page.navigate", map[string]any{"url": url + "/"}, nil)
	text := func(selector string) func() bool {
		return func() bool { return b.eval(`document.readyState === "complete" && `+selector) == true }
	}
	flagIs := func(value string) func() bool {
		return text(`document.querySelector("#flags td:nth-child(2)").textContent === "` + value + `"`)
	}
	require.Eventually(t, flagIs("false"), 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, text(`document.getElementById("live").textContent.endsWith("live")`), 20*time.Second, 50*time.Millisecond)
	b.eval(`window.sameDocument = true; document.querySelector("#flags .scroll").focus()`)
	b.screenshot("light")

	state.flagOn.Store(true)
	require.Eventually(t, flagIs("true"), 20*time.Second, 50*time.Millisecond, "a change shows")
	require.Equal(t, true, b.eval(`window.sameDocument === true`), "without a reload")
	require.Equal(t, true, b.eval(`document.activeElement.closest("#flags") !== null`), "focus stays where it was")

	b.viewport(390, "dark")
	require.Equal(t, true, b.eval(`document.documentElement.scrollWidth <= 390`), "a phone's width is enough")
	require.Equal(t, "rgb(13, 17, 23)", b.eval(`getComputedStyle(document.body).backgroundColor`))
	b.screenshot("dark-phone")

	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}, nil)
	require.Equal(t, true, b.eval(`document.activeElement !== document.body`), "it is used by keyboard")

	require.Empty(t, b.told("Runtime.exceptionThrown"))
	require.Empty(t, b.told("Runtime.consoleAPICalled"))
	require.Empty(t, b.told("Log.entryAdded"))
	requests := b.told("Network.requestWillBeSent")
	require.NotEmpty(t, requests)
	for _, r := range requests {
		var sent struct{ Request struct{ URL string } }
		require.NoError(t, json.Unmarshal([]byte(r), &sent))
		require.True(t, strings.HasPrefix(sent.Request.URL, url) || strings.HasPrefix(sent.Request.URL, "data:"), sent.Request.URL)
	}
}
