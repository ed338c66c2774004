// Package exposition reads Prometheus and OpenMetrics endpoints, by prometheus/common's parser.
package exposition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

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
	return Parse(body, resp.Header)
}

// Parse reads an exposition. The parser panics on some that are none (expfmt v0.71.0: a sample "{}"): what
// a service answers must not end the agent.
func Parse(body []byte, header http.Header) (families Families, err error) {
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
