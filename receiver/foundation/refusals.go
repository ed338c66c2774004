package foundation

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// reason is why something is rejected: a code for programs, and a value of a metric's attribute (metadata.yaml).
type reason int

const (
	reasonInvalidJSON reason = iota
	reasonUnknownField
	reasonInvalidField
	reasonUnknownCall
	reasonNoPipeline
	reasonPipelineRefused
	reasonNoSpans
	reasonCallsDisabled
	reasonUnproven
	reasonNotYours
	reasonNothingOpen
	reasonSpanEnded
	reasonTooLarge
	reasonTooDeep
	reasonNoContext
	reasonStackInUse
	reasonLegacy
	reasonNoAgentID
)

var reasonCodes = [...]string{"invalid_json", "unknown_field", "invalid_field", "unknown_call", "no_pipeline", "pipeline_refused",
	"no_open_spans", "calls_disabled", "unproven", "not_yours", "nothing_open", "span_ended", "too_large", "too_deep", "no_context", "stack_in_use",
	"legacy", "no_agent_id"}

func (r reason) String() string { return reasonCodes[r] }

// MarshalText makes a reason its code in JSON.
func (r reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// rejection is why wrong data was not taken: sent again unchanged it is rejected again.
type rejection struct {
	reason  reason
	message string // what was wrong and what is allowed
}

func (r *rejection) Error() string { return r.message }

// refusal is why nothing can be taken now: sent again later it may be.
type refusal struct {
	status  int // 429 or 503
	after   time.Duration
	code    string
	message string
}

func (r *refusal) Error() string { return r.message }

// retryAfter is what callers are told where the pipeline has no opinion.
const retryAfter = time.Second

// pipelineError sorts an error of the next consumer: permanent ones reject the data, others refuse it for now.
func pipelineError(err error) error {
	if consumererror.IsPermanent(err) {
		return &rejection{reasonPipelineRefused, "the pipeline refused it for good: " + err.Error()}
	}
	r := &refusal{status: http.StatusServiceUnavailable, after: retryAfter, code: "pipeline_unavailable",
		message: "the pipeline cannot take it now; send it again after the time in Retry-After: " + err.Error()}
	if s, ok := status.FromError(err); ok {
		if s.Code() == codes.ResourceExhausted {
			r.status, r.code = http.StatusTooManyRequests, "pipeline_saturated"
		}
		for _, detail := range s.Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				r.after = info.RetryDelay.AsDuration()
			}
		}
	}
	return r
}

// answer is what a request is answered with.
type answer struct {
	status int
	after  time.Duration // Retry-After, where above 0
	body   any
}

// answerTo is the answer to a request that failed as a whole.
func answerTo(err error) answer {
	var rejected *rejection
	if errors.As(err, &rejected) {
		status := http.StatusBadRequest
		switch rejected.reason {
		case reasonPipelineRefused:
			status = http.StatusUnprocessableEntity
		case reasonNoPipeline, reasonNoSpans:
			status = http.StatusNotFound
		case reasonUnproven, reasonNotYours, reasonLegacy, reasonNoAgentID:
			status = http.StatusForbidden
		case reasonCallsDisabled, reasonNothingOpen, reasonSpanEnded, reasonTooDeep, reasonNoContext, reasonStackInUse:
			status = http.StatusConflict
		case reasonTooLarge:
			status = http.StatusRequestEntityTooLarge
		}
		return errorAnswer(status, rejected.reason.String(), rejected.message)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		a := errorAnswer(refused.status, refused.code, refused.message)
		a.after = refused.after
		return a
	}
	return errorAnswer(http.StatusInternalServerError, "internal", err.Error())
}

func errorAnswer(status int, code, message string) answer {
	return answer{status: status, body: errorBody{door.Error{Code: code, Message: message}}}
}

// errorBody is the body that door.WriteError writes.
type errorBody struct {
	Error door.Error `json:"error"`
}

func (a answer) write(w http.ResponseWriter) {
	if a.after > 0 {
		door.SetRetryAfter(w.Header(), a.after)
	}
	door.WriteJSON(w, a.status, a.body)
}

// quote shows a text from outside in a message, shortened.
func quote(s string) string {
	const longest = 100
	if len(s) > longest {
		return strconv.Quote(s[:longest]) + "…"
	}
	return strconv.Quote(s)
}
