// This file cleans up after removals and checks that no reference is left dangling.

package finalize

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// dropEmpty removes components and sections that the edit has emptied, where another file defines them:
// an overlay that says nothing of a component need not name it.
func dropEmpty(files []File) error {
	for i := range files {
		if files[i].After == files[i].Before {
			continue
		}
		before, err := parse(files[i].Path, files[i].Before)
		if err != nil {
			return err
		}
		find := func(root *yaml.Node) *target { return emptied(root, before, defined(files, i)) }
		if files[i].After, err = editText(files[i].Path, files[i].After, find); err != nil {
			return err
		}
	}
	return nil
}

// emptied is the first component or section that holds nothing now, and held something before.
func emptied(root, before *yaml.Node, elsewhere map[string]bool) *target {
	for _, section := range sections {
		node := value(root, section)
		if node != nil && isEmpty(node) && !isEmpty(value(before, section)) {
			return &target{path: []*yaml.Node{root}, index: index(root, section)}
		}
		if node == nil || node.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			id := node.Content[i].Value
			if isEmpty(node.Content[i+1]) && !isEmpty(value(value(before, section), id)) && elsewhere[section+"/"+id] {
				return &target{path: []*yaml.Node{root, node}, index: i}
			}
		}
	}
	return nil
}

func isEmpty(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.Tag == "!!null" || node.Kind != yaml.ScalarNode && len(node.Content) == 0
}

// defined are the components ("section/id") of all files but one; of all where except is -1.
func defined(files []File, except int) map[string]bool {
	found := map[string]bool{}
	for i, f := range files {
		root, err := parse(f.Path, f.After)
		if i == except || err != nil {
			continue
		}
		for _, section := range sections {
			node := value(root, section)
			for j := 0; node != nil && node.Kind == yaml.MappingNode && j+1 < len(node.Content); j += 2 {
				found[section+"/"+node.Content[j].Value] = true
			}
		}
	}
	return found
}

// checkReferences refuses an edit after which something still names what is gone, or a pipeline a
// component that was defined before and is not any more.
func checkReferences(edited, original []File, gone []string) error {
	had := make([]File, len(original))
	for i, f := range original {
		had[i] = File{Path: f.Path, After: f.Before}
	}
	before, after := defined(had, -1), defined(edited, -1)
	for _, f := range edited {
		root, err := parse(f.Path, f.After)
		if err != nil {
			return err
		}
		if left := mentions(root, gone); left != nil {
			return fmt.Errorf("%s: line %d still names %s: edit it by hand first", f.Path, left.Line, left.Value)
		}
		for _, ref := range used(value(root, "service")) {
			if before[ref] && !after[ref] {
				section, id, _ := strings.Cut(ref, "/")
				return fmt.Errorf("%s: service names %s of %s, which would be gone: edit it by hand first", f.Path, id, section)
			}
		}
	}
	return nil
}

// mentions is the first scalar that is one of names.
func mentions(node *yaml.Node, names []string) *yaml.Node {
	if node == nil {
		return nil
	}
	if node.Kind == yaml.ScalarNode && slices.Contains(names, node.Value) {
		return node
	}
	for _, child := range node.Content {
		if found := mentions(child, names); found != nil {
			return found
		}
	}
	return nil
}

// used are the components ("section/id") that service names.
func used(service *yaml.Node) []string {
	var refs []string
	for _, ids := range lists(service, "extensions") {
		for _, id := range ids {
			refs = append(refs, "extensions/"+id)
		}
	}
	for _, section := range []string{"receivers", "processors", "exporters"} {
		for _, ids := range lists(service, section) {
			for _, id := range ids {
				refs = append(refs, section+"/"+id)
			}
		}
	}
	return refs
}
