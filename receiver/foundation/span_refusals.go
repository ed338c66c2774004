package foundation

import (
	"errors"
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

var errNoSpans = &rejection{reasonNoSpans, "this receiver has no open_spans configured, so it takes no span and context calls; name the extension in its configuration"}

// spanReasons are the codes of what the table refuses for good.
var spanReasons = []struct {
	err    error
	reason reason
}{
	{spans.ErrDisabled, reasonCallsDisabled},
	{spans.ErrUnproven, reasonUnproven},
	{spans.ErrNotYours, reasonNotYours},
	{spans.ErrNothingOpen, reasonNothingOpen},
	{spans.ErrEnded, reasonSpanEnded},
	{spans.ErrTooLarge, reasonTooLarge},
	{spans.ErrTooDeep, reasonTooDeep},
	{spans.ErrNoContext, reasonNoContext},
	{spans.ErrStackInUse, reasonStackInUse},
	{spans.ErrMalformed, reasonInvalidField},
}

// spanError makes a *rejection or a *refusal of an error of the table.
func spanError(err error) error {
	if errors.Is(err, spans.ErrFull) {
		return &refusal{status: http.StatusTooManyRequests, after: retryAfter, code: "table_full", message: err.Error()}
	}
	for _, known := range spanReasons {
		if errors.Is(err, known.err) {
			return &rejection{known.reason, err.Error()}
		}
	}
	return err
}
