// Program flags reads a feature flag of the agent through the OpenFeature SDK.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/open-feature/go-sdk/openfeature"

	foundation "github.com/foundation-agent/foundation-agent/clients/go"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run says how the flag "new_checkout" stands for a user of the agent at endpoint.
func run(ctx context.Context, endpoint string, out io.Writer) error {
	client, err := foundation.New(endpoint)
	if err != nil {
		return err
	}
	if err := openfeature.SetProviderWithContextAndWait(ctx, client.Flags()); err != nil {
		return err
	}
	defer openfeature.Shutdown()
	flags := openfeature.NewClient("shop")
	user := openfeature.NewEvaluationContext("ana", map[string]any{"plan": "pro"})
	fmt.Fprintln(out, "new_checkout:", flags.Boolean(ctx, "new_checkout", false, user))
	return client.Close(ctx)
}
