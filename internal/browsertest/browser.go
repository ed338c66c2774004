// Package browsertest drives a headless Chromium, for tests that must see what a person sees.
package browsertest

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

// Browser is a headless Chromium, spoken to by the DevTools protocol over a pipe (NUL-separated JSON). Its methods
// fail the test rather than return an error.
type Browser struct {
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

// Start opens an empty page; the test is skipped where there is no Chromium.
func Start(t *testing.T) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: `make test-tools` installs it")
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
	b := &Browser{t: t, out: out, answers: map[int]chan json.RawMessage{}}
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

func (b *Browser) read(in *os.File) {
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

// Call makes one call and decodes its result.
func (b *Browser) Call(method string, params map[string]any, result any) {
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

func (b *Browser) open() {
	var target struct{ TargetID string }
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.page = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.Call(domain+".enable", nil, nil)
	}
}

// Eval returns the value of an expression in the page.
func (b *Browser) Eval(expression string) (value any) {
	var answer struct{ Result struct{ Value any } }
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	return answer.Result.Value
}

// Screenshot is kept where FOUNDATION_SCREENSHOTS names a directory, for people to look at.
func (b *Browser) Screenshot(name string) {
	dir := os.Getenv("FOUNDATION_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture struct{ Data string }
	b.Call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &picture)
	content, err := base64.StdEncoding.DecodeString(picture.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(dir+"/"+name+".png", content, 0o600))
}

// Viewport sets the window's width and whether the reader prefers the dark.
func (b *Browser) Viewport(width int, scheme string) {
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Told returns the events of a kind.
func (b *Browser) Told(method string) (params []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Method == method {
			params = append(params, string(e.Params))
		}
	}
	return params
}

// RequireQuiet holds the page to what it promises: it throws nothing, says nothing on the console, and asks nothing
// of any other origin.
func (b *Browser) RequireQuiet(origin string) {
	b.t.Helper()
	require.Empty(b.t, b.Told("Runtime.exceptionThrown"))
	require.Empty(b.t, b.Told("Runtime.consoleAPICalled"))
	require.Empty(b.t, b.Told("Log.entryAdded"))
	requests := b.Told("Network.requestWillBeSent")
	require.NotEmpty(b.t, requests)
	for _, r := range requests {
		var sent struct{ Request struct{ URL string } }
		require.NoError(b.t, json.Unmarshal([]byte(r), &sent))
		require.True(b.t, strings.HasPrefix(sent.Request.URL, origin+"/") || strings.HasPrefix(sent.Request.URL, "data:"), sent.Request.URL)
	}
}
