// This file is how a table tells what switching a flag on would do.

package operator

// Previewer is a table whose owner knows, from a dry run on the traffic now passing, what setting a flag
// true would do. `migrate preview` asks it.
type Previewer interface {
	Preview() Preview
}

// Preview is what a flag would do.
type Preview struct {
	Flag    string         `json:"flag"`
	Summary string         `json:"summary"`          // a sentence with numbers
	Detail  map[string]any `json:"detail,omitempty"` // suppressed share, top keys, memory, senders refused
}
