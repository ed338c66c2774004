package flags

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSelfCheck(t *testing.T) {
	result := started(t, nil).OperatorChecks()[0].Run(t.Context())
	require.True(t, result.OK, result.Steps)
	require.Len(t, result.Steps, 3)

	broken := started(t, func(cfg *Config) { cfg.Files = []string{"testdata/targeting.json"} })
	require.False(t, broken.OperatorChecks()[0].Run(t.Context()).OK, "two rules can not be evaluated")

	e, stop, err := startStored(&brokenStorage{set: func() error { return errors.New("disk on fire") }}, nil)
	require.NoError(t, err)
	e.EmergencyRollback(tester)
	result = e.OperatorChecks()[0].Run(t.Context())
	require.False(t, result.OK)
	require.Contains(t, result.Steps[1].Detail, "disk on fire")
	require.NoError(t, stop())
}
