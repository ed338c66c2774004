// This file holds `events emit`.

package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

// maxEmit bounds the events of one command, which go in one request.
const maxEmit = 10_000

func eventsCommand() *cobra.Command {
	cmd, o := newCommand("events", "Emit events as an application does")
	cmd.AddCommand(eventsEmit(o))
	return cmd
}

func eventsEmit(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "emit NAME",
		Short: "Emit an event, or with --count many equal ones",
		Example: "  foundation-agent events emit test.event --measurement count=1 --metadata user=ann --dedup-key k\n" +
			"  foundation-agent events emit test.event --dedup-key k --count 1000",
		Args: usage(cobra.ExactArgs(1)),
	}
	app := addApplication(cmd)
	f := cmd.Flags()
	measurements := f.StringToString("measurement", nil, "measurement, key=number (may be given several times)")
	metadata := f.StringToString("metadata", nil, "metadata, key=value (may be given several times)")
	dedupKey := f.String("dedup-key", "", "identity of the event, within its resource and name")
	severity := f.String("severity", "", "severity, such as INFO or ERROR")
	body := f.String("body", "", "text for people")
	oncePer := f.Duration("once-per", 0, "at most one in this time, where a rule lets callers say so")
	count := f.Int("count", 1, fmt.Sprintf("how many to emit, at most %d", maxEmit))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *count < 1 || *count > maxEmit {
			return exitf(ExitUsage, "--count is %d: allowed are 1 to %d", *count, maxEmit)
		}
		measured, err := numbers("measurement", *measurements)
		if err != nil {
			return err
		}
		event := app.fields(map[string]any{"name": args[0], "measurements": measured, "metadata": typed(*metadata)})
		for key, value := range map[string]string{"dedup_key": *dedupKey, "severity": *severity, "body": *body} {
			if value != "" {
				event[key] = value
			}
		}
		if *oncePer > 0 {
			event["once_per"] = oncePer.String()
		}
		return emit(cmd, o, app, event, *count)
	}
	return cmd
}

// emit sends count equal events in one request.
func emit(cmd *cobra.Command, o *options, app *application, event map[string]any, count int) error {
	line, err := json.Marshal(event)
	if err != nil {
		return err
	}
	answer, err := app.call(cmd, o, request{
		method: http.MethodPost, path: "/v1/events",
		stream: bytes.NewReader(bytes.Repeat(append(line, '\n'), count)), contentType: "application/x-ndjson",
	})
	if err != nil {
		return err
	}
	var result emitted
	if err := json.Unmarshal(answer, &result); err != nil {
		return fmt.Errorf("the agent's answer was not understood: %w", err)
	}
	if err := print(cmd, o, answer, printEmitted); err != nil {
		return err
	}
	if result.Rejected > 0 {
		return &ExitError{Code: ExitRefused, Err: errors.New("events were refused")}
	}
	return nil
}

// emitted is the answer to POST /v1/events.
type emitted struct {
	Accepted, Rejected int
	Errors             []struct {
		Line          int
		Code, Message string
	}
}

func printEmitted(w io.Writer, e emitted) {
	fmt.Fprintf(w, "%d accepted, %d refused\n", e.Accepted, e.Rejected)
	for _, refused := range e.Errors {
		fmt.Fprintf(w, "  line %d: %s (%s)\n", refused.Line, clean(refused.Message), clean(refused.Code))
	}
}
