package flags

import "github.com/foundation-agent/foundation-agent/internal/operator"

// OperatorRoutes are the operators' calls.
func (e *flagsExtension) OperatorRoutes() []operator.Route { return nil }
