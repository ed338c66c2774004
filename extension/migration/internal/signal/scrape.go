// This file reads a Prometheus or OpenMetrics endpoint, by prometheus/common's parser.

package signal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// maxExposition bounds what one scrape may answer, in bytes.
const maxExposition = 32 << 20

// Families are the metrics of one scrape, by name.
type Families map[string]*dto.MetricFamily

// Scraper reads one endpoint. Safe for concurrent use.
type Scraper struct {
	// URL returns where to read; it may be known only after the start.
	URL    func() (string, error)
	Client *http.Client
}

// accept asks for the classic text format, which the parser reads in full, before OpenMetrics.
const accept = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"

// Scrape reads the endpoint once.
func (s *Scraper) Scrape(ctx context.Context) (Families, error) {
	url, err := s.URL()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxExposition+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxExposition {
		return nil, fmt.Errorf("%s answered more than %d MiB", url, maxExposition>>20)
	}
	return parse(body, resp.Header)
}

// parse reads an exposition. The parser panics on some that are none (expfmt v0.71.0: a sample "{}"): what
// a service answers must not end the agent.
func parse(body []byte, header http.Header) (families Families, err error) {
	defer func() {
		if p := recover(); p != nil {
			families, err = nil, fmt.Errorf("no Prometheus exposition: the parser failed: %v", p)
		}
	}()
	format := expfmt.ResponseFormat(header)
	if media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); media == expfmt.OpenMetricsType {
		body = classic(body)
	}
	decoder := expfmt.NewDecoder(bytes.NewReader(body), format)
	families = Families{}
	for {
		family := &dto.MetricFamily{}
		err := decoder.Decode(family)
		if errors.Is(err, io.EOF) {
			return families, nil
		}
		if err != nil {
			return nil, fmt.Errorf("no Prometheus exposition: %w", err)
		}
		families[family.GetName()] = family
	}
}

// classicTypes are OpenMetrics' types that the classic format lacks, by what a sum can be made of.
var classicTypes = strings.NewReplacer(" unknown", " untyped", " stateset", " gauge", " info", " gauge")

// classic takes out of an OpenMetrics exposition what the parser does not read: exemplars, timestamps
// (fractional there) and the types that the classic format lacks.
func classic(body []byte) []byte {
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, maxExposition)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			if strings.HasPrefix(line, "# TYPE ") {
				line = classicTypes.Replace(line)
			}
			out.WriteString(line + "\n")
			continue
		}
		end := seriesEnd(line)
		if rest := strings.Fields(line[end:]); len(rest) > 0 {
			line = line[:end] + " " + rest[0] // the value; what follows is timestamp and exemplar
		}
		out.WriteString(line + "\n")
	}
	return out.Bytes()
}

// seriesEnd is where the name and labels of a sample end.
func seriesEnd(line string) int {
	end := strings.IndexAny(line, " {")
	if end < 0 || line[end] == ' ' {
		return max(end, 0)
	}
	quoted := false
	for i := end; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '}' && !quoted:
			return i + 1
		}
	}
	return len(line)
}
