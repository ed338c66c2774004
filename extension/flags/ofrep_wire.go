// This file is how OFREP looks on the wire. What real clients insist on: every error has key, errorCode
// and the content type application/json, whatever its status.

package flags

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// success is the document's evaluationSuccess. Without a value the application's own default holds.
type success struct {
	Key      string          `json:"key"`
	Value    json.RawMessage `json:"value,omitempty"`
	Reason   string          `json:"reason"`
	Variant  string          `json:"variant,omitempty"`
	Metadata map[string]any  `json:"metadata,omitempty"`
}

// failure is the document's evaluationFailure and its kin.
type failure struct {
	Key          string         `json:"key"`
	ErrorCode    string         `json:"errorCode"`
	ErrorDetails string         `json:"errorDetails,omitempty"`
	Metadata     map[string]any `json:"metadata,omitempty"`
}

func failureOf(key string, r flagd.Resolution, metadata map[string]any) failure {
	return failure{Key: key, ErrorCode: r.ErrorCode, ErrorDetails: r.Error.Error(), Metadata: metadata}
}

func writeFailure(w http.ResponseWriter, status int, key string, r flagd.Resolution, metadata map[string]any) {
	door.WriteJSON(w, status, failureOf(key, r, metadata))
}

// appendResolution appends what f evaluated to.
func appendResolution(body []byte, f *flagd.Flag, r flagd.Resolution) []byte {
	if r.Error != nil {
		return appendJSON(body, failureOf(f.Key, r, f.Metadata))
	}
	s := success{Key: f.Key, Reason: r.Reason, Metadata: f.Metadata}
	if r.Variant != nil {
		s.Value, s.Variant = r.Variant.Raw, r.Variant.Name
	}
	return appendJSON(body, s)
}

func appendJSON(body []byte, v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil { // it was decoded from JSON
		panic(fmt.Sprintf("encoding %T: %v", v, err))
	}
	return append(body, encoded...)
}

// entry is a flag that evaluates to the same for every context.
type entry struct {
	json    []byte // nil for other flags
	outcome int
}

// bytesOfOthers is what a flag that is not encoded yet will about take.
const bytesOfOthers = 256

// staticEntries are aligned with the definitions' flags. They are encoded at the first call.
func (s *state) staticEntries() []entry {
	s.encode.Do(func() {
		s.static = make([]entry, len(s.definitions.Flags))
		for i, f := range s.definitions.Flags {
			if r := s.resolved[f.Key]; s.isStatic(f) {
				s.static[i] = entry{json: appendResolution(nil, f, r), outcome: outcomeOf(r)}
			}
			s.encodedSize += len(s.static[i].json) + bytesOfOthers
		}
	})
	return s.static
}

// isStatic says whether f evaluates to the same for every context.
func (s *state) isStatic(f *flagd.Flag) bool {
	if o, ok := s.overrides[f.Key]; ok {
		if _, fits := o.resolve(f, ""); fits {
			return o.Kind != kindPercentage
		}
	}
	return !f.HasTargeting()
}

// entityTag is the strong tag of a body.
func entityTag(body []byte) string { return fmt.Sprintf(`"%016x"`, xxhash.Sum64(body)) }

// matches says whether If-None-Match lists the tag. Comparison is weak (RFC 9110, 13.1.2); some clients drop the quotes.
func matches(ifNoneMatch, tag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || candidate == tag || candidate == strings.Trim(tag, `"`) {
			return true
		}
	}
	return false
}

// guard answers a defect of ours with an error that clients understand.
func guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				writeFailure(w, http.StatusInternalServerError, r.PathValue("key"),
					flagd.Failed(flagd.CodeGeneral, fmt.Errorf("internal error: %v", p)), nil)
			}
		}()
		next(w, r)
	}
}

// configTag names a state: in events, and as their id. Other runs of the agent have other tags.
func configTag(s *state) string {
	return fmt.Sprintf("%x-%x", boot, s.version)
}

// boot tells this run of the agent from others.
var boot = time.Now().UnixNano()
