// Program adopt is an application that adopts foundation-agent in ten lines: it registers itself, and emits
// events that the agent dedups.
package main

import (
	"context"
	"log"
	"os"

	foundation "github.com/foundation-agent/foundation-agent/clients/go"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// run does the application's work with the agent at endpoint ("unix:var/run/app.sock").
func run(ctx context.Context, endpoint string) error {
	client, err := foundation.New(endpoint)
	if err != nil {
		return err
	}
	if _, err := client.Register(ctx, "shop", foundation.Registration{Labels: map[string]string{"tier": "web"}}); err != nil {
		return err
	}
	for range 100 {
		_ = client.Emit(foundation.Event{
			Name:         "cart.timeout",
			Measurements: foundation.Measurements{"count": 1},
			DedupKey:     "payments",
			Severity:     "WARN",
		})
	}
	return client.Close(ctx)
}
