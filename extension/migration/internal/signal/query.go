// This file asks a Prometheus server, by client_golang's API client.

package signal

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
)

// Querier asks a Prometheus server. Safe for concurrent use.
type Querier struct{ api promv1.API }

// NewQuerier returns a querier of the server at address, a URL.
func NewQuerier(address string, client *http.Client) (*Querier, error) {
	c, err := api.NewClient(api.Config{Address: address, Client: client})
	if err != nil {
		return nil, err
	}
	return &Querier{api: promv1.NewAPI(c)}, nil
}

// Query evaluates an instant query now. The error says that the server could not be asked; a result that
// is no single number is an unknown value.
func (q *Querier) Query(ctx context.Context, query string) (guard.Value, error) {
	result, _, err := q.api.Query(ctx, query, time.Now())
	if err != nil {
		return guard.Value{}, err
	}
	switch r := result.(type) {
	case *model.Scalar:
		return known(float64(r.Value)), nil
	case model.Vector:
		if len(r) == 1 {
			return known(float64(r[0].Value)), nil
		}
		return guard.Unknown(fmt.Sprintf("the query gave %d series, not one", len(r))), nil
	}
	return guard.Unknown(fmt.Sprintf("the query gave a %s, not a number", result.Type())), nil
}

// known is a number, if it is a finite one: all that is known is finite.
func known(n float64) guard.Value {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return guard.Unknown("not a finite number (divided by 0?)")
	}
	return guard.Known(n)
}
