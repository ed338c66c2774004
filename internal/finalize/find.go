// This file finds what refers to the stages and their flags.

package finalize

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// sections of a configuration that hold components.
var sections = []string{"receivers", "processors", "exporters", "connectors", "extensions"}

// finder knows what goes.
type finder struct {
	plan      Plan
	dropFlags bool // nobody but the migration reads flags: the extension goes too
}

// gone are the extensions that are removed.
func (f finder) gone() []string {
	if f.dropFlags {
		return []string{f.plan.Extension, f.plan.FlagsID}
	}
	return []string{f.plan.Extension}
}

func (f finder) notes(files []File) []string {
	var notes []string
	if !f.dropFlags {
		notes = append(notes, fmt.Sprintf("%s stays, because applications read their flags from it (mount); take the flags of the stages out of its files: %v", f.plan.FlagsID, f.plan.Flags))
	}
	for _, file := range files {
		if root, err := parse(file.Path, file.After); err == nil && root == nil {
			notes = append(notes, file.Path+" holds nothing any more: leave it out of the command line")
		}
	}
	return notes
}

// applicationsRead reports whether some component offers the flags to applications, or an extension has
// an endpoint of its own for them.
func applicationsRead(documents []*yaml.Node, flagsID string) bool {
	for _, root := range documents {
		for _, mounted := range lists(root, "mount") {
			if slices.Contains(mounted, flagsID) {
				return true
			}
		}
		if own := value(value(root, "extensions"), flagsID); value(own, "http") != nil || value(own, "ofrep") != nil {
			return true
		}
	}
	return false
}

// first is the first thing to remove: an extension that goes, then each reference to it, then the
// handles of the stages' flags.
func (f finder) first(root *yaml.Node) *target {
	extensions := value(root, "extensions")
	for _, id := range f.gone() {
		if i := index(extensions, id); i >= 0 {
			return &target{path: []*yaml.Node{root, extensions}, index: i}
		}
	}
	for _, section := range append([]string{"service"}, sections...) {
		if found := f.reference(value(root, section), []*yaml.Node{root}); found != nil {
			return found
		}
	}
	return nil
}

// reference looks for one within node. path are its ancestors.
func (f finder) reference(node *yaml.Node, path []*yaml.Node) *target {
	if node == nil {
		return nil
	}
	path = append(slices.Clone(path), node)
	switch node.Kind {
	case yaml.SequenceNode:
		for i, item := range node.Content {
			if item.Kind == yaml.ScalarNode && slices.Contains(f.gone(), item.Value) {
				return &target{path: path, index: i}
			}
			if found := f.reference(item, path); found != nil {
				return found
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if f.refers(node, node.Content[i], node.Content[i+1]) {
				return &target{path: path, index: i}
			}
			if found := f.reference(node.Content[i+1], path); found != nil {
				return found
			}
		}
	}
	return nil
}

// refers reports whether a pair names what goes: an extension, or a flag of a stage.
func (f finder) refers(mapping, key, val *yaml.Node) bool {
	if val.Kind != yaml.ScalarNode {
		return false
	}
	named := value(mapping, "flag")
	ofStage := named == nil || slices.Contains(f.plan.Flags, named.Value)
	switch {
	case slices.Contains(f.gone(), val.Value) && key.Value != "flag":
		return true
	case key.Value == "flags":
		return val.Value == f.plan.FlagsID && ofStage
	case key.Value == "flag":
		handle := value(mapping, "flags")
		return ofStage && (handle == nil || handle.Value == f.plan.FlagsID)
	}
	return false
}

// value of a key in a mapping, nil where absent.
func value(mapping *yaml.Node, key string) *yaml.Node {
	if i := index(mapping, key); i >= 0 {
		return mapping.Content[i+1]
	}
	return nil
}

// index of a key in a mapping's content, -1 where absent.
func index(mapping *yaml.Node, key string) int {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// lists are the values of every sequence under a key of that name.
func lists(node *yaml.Node, key string) [][]string {
	if node == nil {
		return nil
	}
	var found [][]string
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == key && child.Kind == yaml.SequenceNode {
			var items []string
			for _, item := range child.Content {
				items = append(items, item.Value)
			}
			found = append(found, items)
		}
		found = append(found, lists(child, key)...)
	}
	return found
}
