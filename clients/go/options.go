package foundation

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Option changes a default of New.
type Option func(*config)

type config struct {
	queueBytes     int
	batchBytes     int
	batchDelay     time.Duration
	requestTimeout time.Duration
	transport      http.RoundTripper
	logger         *slog.Logger
}

func defaultConfig() config {
	return config{
		queueBytes:     8 << 20,
		batchBytes:     256 << 10,
		batchDelay:     100 * time.Millisecond,
		requestTimeout: 30 * time.Second,
		logger:         slog.Default(),
	}
}

func (c *config) validate() error {
	switch {
	case c.batchBytes < 1:
		return fmt.Errorf("batch of %d bytes is not allowed; give 1 or more", c.batchBytes)
	case c.queueBytes < c.batchBytes:
		return fmt.Errorf("queue of %d bytes is not allowed; give a batch's (%d) or more", c.queueBytes, c.batchBytes)
	case c.batchDelay <= 0:
		return fmt.Errorf("batch delay of %s is not allowed; give more than 0", c.batchDelay)
	case c.requestTimeout <= 0:
		return fmt.Errorf("request timeout of %s is not allowed; give more than 0", c.requestTimeout)
	}
	return nil
}

// WithQueue bounds the memory of events that wait to be sent (8 MiB). What exceeds it is dropped and counted.
func WithQueue(bytes int) Option { return func(c *config) { c.queueBytes = bytes } }

// WithBatch sets when a batch is sent: at so many bytes (256 KiB) or this long after its first event (100 ms).
func WithBatch(bytes int, delay time.Duration) Option {
	return func(c *config) { c.batchBytes, c.batchDelay = bytes, delay }
}

// WithRequestTimeout bounds each request to the agent (30 s).
func WithRequestTimeout(d time.Duration) Option { return func(c *config) { c.requestTimeout = d } }

// WithTransport replaces how the agent is reached: TLS, authentication.
func WithTransport(t http.RoundTripper) Option { return func(c *config) { c.transport = t } }

// WithLogger sets where troubles are told (slog.Default): an agent that is away, events it rejects.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }
