// This file prints: tables for people, JSON for programs. Text from outside never reaches the
// terminal with control characters.

package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"
)

// Values of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

// print prints an answer: as it is with --output json, or else decoded into T and given to table.
func print[T any](cmd *cobra.Command, o *options, answer json.RawMessage, table func(w io.Writer, v T)) error {
	if o.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return fmt.Errorf("the agent's answer was not understood: %w", err)
	}
	table(cmd.OutOrStdout(), v)
	return nil
}

// printJSON indents answer. What a terminal might take for a command is escaped, which JSON allows.
func printJSON(w io.Writer, answer json.RawMessage) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(answer), "", "  "); err != nil {
		return fmt.Errorf("the agent's answer was not understood: %w", err)
	}
	_, err := fmt.Fprintln(w, escapeJSON(indented.String()))
	return err
}

// escapeJSON escapes, within JSON, what a terminal might take for a command.
func escapeJSON(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || printable(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// printValue prints what the command itself has worked out, as print does an answer.
func printValue[T any](cmd *cobra.Command, o *options, v T, table func(w io.Writer, v T)) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return print(cmd, o, encoded, table)
}

// printTable prints rows under a header, in columns.
func printTable(w io.Writer, header []string, rows [][]any) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = text(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	_ = t.Flush() // the terminal has gone: nobody to tell
}

// printFacts prints names and values, one pair a line; pairs whose value is empty are left out.
func printFacts(w io.Writer, pairs ...any) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := text(pairs[i+1]); value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", pairs[i], value)
		}
	}
	_ = t.Flush()
}

// text shows one value in one line.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return clean(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
		return jsonText(v)
	case []any:
		return jsonText(v)
	}
	return clean(fmt.Sprint(v))
}

// jsonText shows a value as the JSON it came as.
func jsonText(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return clean(fmt.Sprint(v))
	}
	return clean(string(encoded))
}

// clean removes what a terminal might take for a command, and what would break a table.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !printable(r):
			return -1
		}
		return r
	}, s)
}

// printable leaves out control characters, and the format characters that reorder or hide text.
func printable(r rune) bool { return unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r) }

// printObject prints the fields of an object that has no table of its own, by name.
func printObject(w io.Writer, v map[string]any) {
	var pairs []any
	for _, key := range slices.Sorted(maps.Keys(v)) {
		pairs = append(pairs, clean(strings.ReplaceAll(key, "_", " ")), number(v[key]))
	}
	printFacts(w, pairs...)
}

// number shows a JSON number without an exponent.
func number(v any) any {
	if f, ok := v.(float64); ok {
		return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
	}
	return v
}

// ago is a moment as a distance from now; "" for none.
func ago(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return time.Since(at).Round(time.Second).String() + " ago"
}
