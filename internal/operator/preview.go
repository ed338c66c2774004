// This file is how a component tells what switching a flag on would do.

package operator

// Previewer knows, from a dry run on the traffic now passing, what setting flags true would do. `migrate preview` asks
// it. A table may be one, or a component that has none and registers.
type Previewer interface {
	// Name is the component's id.
	Name() string
	// Previews has one for each flag, "" for none at present.
	Previews() []Preview
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
