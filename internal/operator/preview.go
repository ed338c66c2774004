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

// MigrationPreview is what GET /v1/migration/preview answers.
type MigrationPreview struct {
	Stage   string    `json:"stage"`
	Flags   []string  `json:"flags"`
	Effects []Preview `json:"effects"`
	Silent  []string  `json:"silent,omitempty"` // flags of the stage whose components tell nothing
}
