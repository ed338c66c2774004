// Package foundation is how a Go application uses foundation-agent: it emits events, registers itself as
// an agent, and reads flags through OpenFeature. Nothing here ever blocks the application on the agent:
// what cannot be sent waits in a bounded queue, then is dropped and counted, and the count is reported.
//
//	client, err := foundation.New("unix:/run/foundation/app.sock")
//	if err != nil { … }
//	defer client.Close(ctx)
//	_, err = client.Register(ctx, "billing", foundation.Registration{})
//	_ = client.Emit(foundation.Event{Name: "order.placed", Measurements: foundation.Measurements{"count": 1}})
package foundation
