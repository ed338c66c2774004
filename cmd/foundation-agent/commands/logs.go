// This file holds `logs tail`: the log records as they leave the agent.

package commands

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// maxStreamLine bounds one event of a stream.
const maxStreamLine = 16 << 20

func logsCommand() *cobra.Command {
	cmd, o := newCommand("logs", "Watch the log records as they leave the agent")
	cmd.AddCommand(logsTail(o))
	return cmd
}

func logsTail(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print log records as they leave, with the error context that they gained",
		Long: "Print log records as they leave, with the error context that they gained. The agent looks at up to 2,000 " +
			"records a second for each who watches and skips the rest, which is told; it never waits. Ends with Ctrl-C, " +
			"after --count records, or after --for.",
		Example: "  foundation-agent logs tail --grep 'request_id=' --for 1s",
		Args:    usage(cobra.NoArgs),
	}
	grep := cmd.Flags().String("grep", "", "only records in which this regular expression (RE2) is found: in the event's name, body, ids or `key=value`")
	count := cmd.Flags().Int("count", 0, "end after so many records; 0: never")
	duration := cmd.Flags().Duration("for", 0, "end after this time; 0: never")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		if *duration > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, *duration)
			defer cancel()
		}
		t := tail{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), json: o.output == outputJSON, left: *count}
		err := o.tail(ctx, url.Values{"grep": {*grep}}, t.follow)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil // as asked
		}
		return err
	}
	return cmd
}

// tail gives follow the stream of records.
func (o *options) tail(ctx context.Context, query url.Values, follow func(io.Reader) error) error {
	resp, err := o.client().send(ctx, request{method: http.MethodGet, path: "/v1/logs/tail", query: query})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return follow(resp.Body)
}

// tail prints a stream of records.
type tail struct {
	out, errOut io.Writer
	json        bool
	left        int // records until the end; 0: no end
}

// follow reads server-sent events until the stream ends.
func (t *tail) follow(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxStreamLine)
	event := ""
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
			continue
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if event == "skipped" {
			fmt.Fprintf(t.errOut, "(%s records skipped)\n", clean(data))
		} else if done, err := t.show(data); done || err != nil {
			return err
		}
		event = ""
	}
	return lines.Err()
}

// show prints one record, and reports whether it was the last one wanted.
func (t *tail) show(data string) (done bool, err error) {
	if t.json {
		fmt.Fprintln(t.out, escapeJSON(data))
	} else {
		var record operator.TapRecord
		if err := json.Unmarshal([]byte(data), &record); err != nil {
			return true, fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		printRecord(t.out, record)
	}
	t.left--
	return t.left == 0, nil
}

func printRecord(w io.Writer, r operator.TapRecord) {
	words := []string{r.Time.Local().Format("15:04:05.000")}
	for _, word := range []string{r.Severity, r.Event, r.Body} {
		if word != "" {
			words = append(words, clean(word))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Attributes)) {
		words = append(words, clean(key)+"="+text(r.Attributes[key]))
	}
	if r.TraceID != "" {
		words = append(words, "trace_id="+clean(r.TraceID), "span_id="+clean(r.SpanID))
	}
	fmt.Fprintln(w, strings.Join(words, " "))
}
