// This file removes one entry of a mapping or a sequence from the text, by its position, so that all
// else stays as it was written: comments, blank lines, quotes. What the text then says is held against
// what it should.

package finalize

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// target is an entry of the last node of path: of a mapping the index of its key, of a sequence that of the item.
type target struct {
	path  []*yaml.Node
	index int
}

func (t *target) container() *yaml.Node { return t.path[len(t.path)-1] }

// width is how many nodes an entry has.
func (t *target) width() int {
	if t.container().Kind == yaml.MappingNode {
		return 2
	}
	return 1
}

func (t *target) line() int { return t.container().Content[t.index].Line }

var errByHand = errors.New("cannot be removed without changing something else: edit it by hand")

// removeFrom returns the text without the entry.
func (t *target) removeFrom(text string, root *yaml.Node) (string, error) {
	container := t.container()
	cut := t.cutBlock
	if container.Style&yaml.FlowStyle != 0 {
		cut = t.cutFlow
	}
	edited := cut(text)
	container.Content = slices.Delete(container.Content, t.index, t.index+t.width())
	var want, got any
	if err := root.Decode(&want); err != nil {
		return "", err
	}
	if err := yaml.Unmarshal([]byte(edited), &got); err != nil || !same(want, got) {
		return "", errByHand
	}
	return edited, nil
}

// same holds two documents against each other. An empty document may be written as nothing.
func same(want, got any) bool { return reflect.DeepEqual(prune(want), prune(got)) }

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
		pruned := map[string]any{}
		for key, value := range v {
			pruned[key] = prune(value)
		}
		return pruned
	case []any:
		if len(v) == 0 {
			return nil
		}
		pruned := make([]any, len(v))
		for i, value := range v {
			pruned[i] = prune(value)
		}
		return pruned
	}
	return v
}

// cutBlock removes whole lines: those of the entry, and of the comment that stands right above it.
func (t *target) cutBlock(text string) string {
	lines := strings.SplitAfter(text, "\n")
	entry := t.container().Content[t.index : t.index+t.width()]
	indent := entry[0].Column - 1
	if t.container().Kind == yaml.SequenceNode {
		indent -= 2 // the dash
	}
	begin, end := entry[0].Line-1, min(lastLine(entry), len(lines))
	for end < len(lines) && deeper(lines[end], indent) {
		end++
	}
	if entry[0].HeadComment != "" {
		for begin > 0 && isComment(lines[begin-1], indent) {
			begin--
		}
	}
	if len(t.container().Content) == t.width() && len(t.path) > 1 {
		if key := t.key(); key != nil && key.Line <= len(lines) { // what is left is empty: say so, it is not nothing
			at := offset(lines[key.Line-1], &yaml.Node{Line: 1, Column: key.Column})
			if colon := strings.IndexByte(lines[key.Line-1][at:], ':'); colon >= 0 {
				at += colon + 1
				lines[key.Line-1] = lines[key.Line-1][:at] + t.empty() + lines[key.Line-1][at:]
			}
		}
	}
	return strings.Join(slices.Delete(lines, min(begin, end), end), "")
}

// key of the container in its parent, nil where that is no mapping.
func (t *target) key() *yaml.Node {
	parent := t.path[len(t.path)-2]
	if i := slices.Index(parent.Content, t.container()); parent.Kind == yaml.MappingNode && i > 0 {
		return parent.Content[i-1]
	}
	return nil
}

func (t *target) empty() string {
	if t.container().Kind == yaml.MappingNode {
		return " {}"
	}
	return " []"
}

// lastLine of nodes, as far as they tell (one that is a block of text ends later).
func lastLine(nodes []*yaml.Node) int {
	last := 0
	for _, n := range nodes {
		last = max(last, n.Line, lastLine(n.Content))
	}
	return last
}

// deeper reports whether a line belongs to an entry at indent: it is indented more, and not blank.
func deeper(line string, indent int) bool {
	trimmed := strings.TrimLeft(line, " ")
	return strings.TrimSpace(trimmed) != "" && len(line)-len(trimmed) > indent
}

func isComment(line string, indent int) bool {
	trimmed := strings.TrimLeft(line, " ")
	return strings.HasPrefix(trimmed, "#") && len(line)-len(trimmed) == indent
}

// cutFlow removes an entry of {…} or […], with the comma that goes with it.
func (t *target) cutFlow(text string) string {
	content, width := t.container().Content, t.width()
	begin := offset(text, content[t.index])
	if next := t.index + width; next < len(content) {
		return text[:begin] + text[max(begin, offset(text, content[next])):]
	}
	end := closing(text, begin)
	if t.index > 0 {
		begin = max(0, strings.LastIndexByte(text[:begin], ','))
	}
	return text[:begin] + text[end:]
}

// offset of a node in the text: lines and columns (of characters) count from 1. Whatever else than
// newlines the parser takes for the end of a line, the result is within the text, and what is made of it
// is checked.
func offset(text string, n *yaml.Node) int {
	at := 0
	for range n.Line - 1 {
		at += strings.IndexByte(text[at:], '\n') + 1
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

// closing is where the bracket that encloses from closes.
func closing(text string, from int) int {
	depth := 0
	for i := from; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case '"', '\'':
			i = quoted(text, i)
		}
	}
	return len(text)
}

// quoted returns where the quote that opens at i closes.
func quoted(text string, i int) int {
	quote := text[i]
	for i++; i < len(text) && text[i] != quote; i++ {
		if quote == '"' && text[i] == '\\' {
			i++
		}
	}
	return i
}
