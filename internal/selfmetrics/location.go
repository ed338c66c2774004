package selfmetrics

import (
	"errors"
	"sync/atomic"
)

// ErrNotToldYet says that the collector has not told its configuration yet, which it does once extensions have started.
var ErrNotToldYet = errors.New("the agent is still starting: where its own metrics are is not known yet")

// Location is where the agent exposes its own metrics, for an extension that is told by and by. The zero Location is
// one that has not been told. Safe for concurrent use.
type Location struct{ found atomic.Pointer[found] }

type found struct {
	url string
	err error
}

// Tell finds the endpoint in a resolved configuration. The error is that of Endpoint.
func (l *Location) Tell(config map[string]any) error {
	url, err := Endpoint(config)
	l.found.Store(&found{url, err})
	return err
}

// URL of the endpoint, or why there is none.
func (l *Location) URL() (string, error) {
	f := l.found.Load()
	if f == nil {
		return "", ErrNotToldYet
	}
	return f.url, f.err
}
