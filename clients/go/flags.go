package foundation

import (
	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
)

// Flags is the agent as a provider of OpenFeature: set it with openfeature.SetProvider and read flags by
// the OpenFeature SDK. While the agent is away a flag has the default that its reader gives.
func (c *Client) Flags() openfeature.FeatureProvider {
	return ofrep.NewProvider(c.base, ofrep.WithClient(c.http))
}
