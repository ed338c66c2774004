package door

import "context"

type drainingKey struct{}

// WithDraining keeps in the context a channel that is closed when the door begins to close.
func WithDraining(ctx context.Context, draining <-chan struct{}) context.Context {
	return context.WithValue(ctx, drainingKey{}, draining)
}

// Draining is closed when the door that a request came through begins to close. A handler that streams
// must return then: the door waits for requests in flight. Outside a door it is nil, never ready.
func Draining(ctx context.Context) <-chan struct{} {
	draining, _ := ctx.Value(drainingKey{}).(<-chan struct{})
	return draining
}
