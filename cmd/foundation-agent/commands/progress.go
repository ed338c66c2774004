// This file shows how far a command is, on a terminal and nowhere else.

package commands

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progress is a bar on the terminal, or nothing where standard error is no terminal.
type progress struct {
	io.Writer // counts the bytes written to it
	bar       *progressbar.ProgressBar
}

// newProgress shows a bar of size steps (bytes, for what is written to it); below 0 it only spins.
func newProgress(cmd *cobra.Command, what string, size int64) *progress {
	return showProgress(cmd, what, size, true)
}

func showProgress(cmd *cobra.Command, what string, size int64, bytes bool) *progress {
	errOut, ok := cmd.ErrOrStderr().(*os.File)
	if !ok || !term.IsTerminal(int(errOut.Fd())) {
		return &progress{Writer: io.Discard}
	}
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(errOut), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(bytes), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	return &progress{Writer: bar, bar: bar}
}

// newSteps shows a bar of steps that are no bytes; below 0 it only spins.
func newSteps(cmd *cobra.Command, what string, steps int64) *progress {
	return showProgress(cmd, what, steps, false)
}

// set says how many steps are done.
func (p *progress) set(steps int64) {
	if p.bar != nil {
		_ = p.bar.Set64(steps) // the terminal has gone: nobody to tell
	}
}

// done takes the bar away.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish() // the terminal has gone: nobody to tell
	}
}
