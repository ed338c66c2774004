// Package page renders what people look at: diagnostics, reports and the status page, as HTML that
// asks nothing of any network. Pictures are SVG, drawn by go-analyze/charts in the binary.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"
)

// Document is one page.
type Document struct {
	Title    string
	Subtitle string
	Made     time.Time
	Sections []Section
}

// Section is one part of a page under a heading. All texts are escaped where they are shown.
type Section struct {
	ID     string // unique in the page, an HTML id
	Title  string
	Note   string // a sentence under the heading
	Facts  []Fact
	Tables []Table
	Charts []Chart
}

// State of a fact or a cell: it is shown by a word's colour and weight, never by colour alone.
type State string

// States.
const (
	Plain State = ""
	Good  State = "good"
	Warn  State = "warn"
	Bad   State = "bad"
)

// Fact is a name and a value.
type Fact struct {
	Name, Value string
	State       State
}

// Table has a cell for each column in each row. Empty is what is said where there is no row.
type Table struct {
	Caption string
	Columns []string
	Rows    [][]Cell
	Empty   string
}

// Cell of a table.
type Cell struct {
	Text  string
	State State
}

// Text returns plain cells.
func Text(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, t := range texts {
		cells[i].Text = t
	}
	return cells
}

// Verdict is a cell that says whether something is well.
func Verdict(ok bool) Cell {
	if ok {
		return Cell{Text: "ok", State: Good}
	}
	return Cell{Text: "failed", State: Bad}
}

//go:embed page.gohtml
var pageSource string

//go:embed style.css
var style string

// Style is the style sheet of every page.
func Style() string { return style }

var templates = template.Must(template.New("page").Parse(pageSource))

// policy lets a self-contained page use its own style and pictures, and nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
}()

// Write writes the page as one file that holds everything it needs.
func (d Document) Write(w io.Writer) error {
	return templates.ExecuteTemplate(w, "standalone", struct {
		Document
		Style  template.CSS
		Policy string
	}{d, template.CSS(style), policy})
}

// WriteLive writes the page for a server that serves Style at style.css beside it, and a script at
// page.js that replaces sections.
func (d Document) WriteLive(w io.Writer) error { return templates.ExecuteTemplate(w, "live", d) }

// HTML renders the section alone, as it stands in a page.
func (s Section) HTML() (string, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, "section", s)
	return out.String(), err
}
