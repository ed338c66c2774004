// Package finalize takes the flags and stages of a finished migration out of configuration files: the
// source YAML, as people wrote it, with their comments. It never sees a resolved configuration, which
// holds secrets, and changes no file.
package finalize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"go.yaml.in/yaml/v3"
)

// Plan is what goes.
type Plan struct {
	Extension string   // id of the staged_migration extension
	FlagsID   string   // id of the feature_flags extension that its stages set
	Flags     []string // names of their flags
}

// File is a configuration file, before and after.
type File struct {
	Path   string
	Before string
	After  string
}

// Diff is the unified diff that makes After of Before, "" where nothing changes.
func (f File) Diff() (string, error) {
	if f.Before == f.After {
		return "", nil
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(f.Before), B: lines(f.After),
		FromFile: "a/" + strings.TrimPrefix(f.Path, "/"), ToFile: "b/" + strings.TrimPrefix(f.Path, "/"), Context: 3,
	})
}

// lines of a text with their ends. A last line without one gains it, as editors do.
func lines(text string) []string {
	split := strings.SplitAfter(text, "\n")
	if last := len(split) - 1; split[last] == "" {
		return split[:last]
	}
	split[len(split)-1] += "\n"
	return split
}

// maxEdits bounds the work on one file.
const maxEdits = 1000

// Edit takes the plan out of files, which are merged in their order as the collector merges them. notes
// tell what is left for people to decide.
func Edit(files []File, plan Plan) (edited []File, notes []string, err error) {
	edited = slices.Clone(files)
	documents, err := parseAll(edited)
	if err != nil {
		return nil, nil, err
	}
	find := finder{plan: plan, dropFlags: !applicationsRead(documents, plan.FlagsID)}
	for i := range edited {
		if edited[i].After, err = editText(edited[i].Path, edited[i].Before, find.first); err != nil {
			return nil, nil, err
		}
	}
	if err := dropEmpty(edited); err != nil {
		return nil, nil, err
	}
	if err := checkReferences(edited, files, find.gone()); err != nil {
		return nil, nil, err
	}
	return edited, find.notes(edited), nil
}

// parseAll parses what the files are now.
func parseAll(files []File) ([]*yaml.Node, error) {
	documents := make([]*yaml.Node, len(files))
	for i, f := range files {
		text := f.After
		if text == "" {
			text = f.Before
		}
		var err error
		if documents[i], err = parse(f.Path, text); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

// parse returns the root mapping of a document, nil where it holds nothing.
func parse(path, text string) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s: is no mapping at the top", path)
	}
	return root, nil
}

// editText removes what find finds, one thing after the other, until it finds nothing more.
func editText(path, text string, find func(root *yaml.Node) *target) (string, error) {
	for range maxEdits {
		root, err := parse(path, text)
		if err != nil || root == nil {
			return text, err
		}
		found := find(root)
		if found == nil {
			return text, nil
		}
		line := found.line()
		if text, err = found.removeFrom(text, root); err != nil {
			return "", fmt.Errorf("%s: line %d: %w", path, line, err)
		}
	}
	return "", fmt.Errorf("%s: more than %d things to remove", path, maxEdits)
}
