package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// Page is all that one command found.
type Page struct {
	Title    string
	Machine  string
	When     time.Time
	Sections []Section
}

// Section is one finding: a table, charts, and the data behind them for programs.
type Section struct {
	Title, Text string
	Columns     []string
	Rows        [][]string
	Charts      []Chart `json:"-"`
	Data        any
}

// NewPage names the machine.
func NewPage(title string) *Page {
	return &Page{
		Title:   title,
		Machine: fmt.Sprintf("%s/%s, %d CPUs (%s), %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(), runtime.Version()),
		When:    time.Now().UTC().Truncate(time.Second),
	}
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// Add appends a section.
func (p *Page) Add(s Section) { p.Sections = append(p.Sections, s) }

// Write leaves results.json, results.md and index.html in dir.
func (p *Page) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), data, 0o644); err != nil {
		return err
	}
	var md strings.Builder
	p.Markdown(&md)
	if err := os.WriteFile(filepath.Join(dir, "results.md"), []byte(md.String()), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "index.html"))
	if err != nil {
		return err
	}
	defer f.Close()
	return page.Execute(f, p)
}

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// Text writes the tables for a terminal.
func (p *Page) Text(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %s\n%s\n", p.Title, p.When.Format(time.RFC3339), p.Machine)
	for _, s := range p.Sections {
		fmt.Fprintf(w, "\n%s\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(w, "%s\n", s.Text)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{s.Columns}, s.Rows...) {
			fmt.Fprintf(t, "  %s\n", strings.Join(row, "\t"))
		}
		_ = t.Flush() // w is a terminal or a builder
	}
}

// Markdown writes the tables for a document.
func (p *Page) Markdown(w io.Writer) {
	fmt.Fprintf(w, "# %s\n\n%s, %s\n", p.Title, p.When.Format(time.RFC3339), p.Machine)
	for _, s := range p.Sections {
		fmt.Fprintf(w, "\n## %s\n\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(w, "%s\n\n", s.Text)
		}
		fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(s.Columns, " | "), strings.Repeat("---|", len(s.Columns)))
		for _, row := range s.Rows {
			fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		}
	}
}
