package guard

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// feed gives a tracker values ten seconds apart and returns the states it went through.
func feed(t *Tracker, values ...any) []State {
	at := time.Unix(1000, 0)
	states := make([]State, 0, len(values))
	for i, v := range values {
		value := Unknown("away")
		if number, ok := v.(float64); ok {
			value = Known(number)
		}
		step := 10 * time.Second
		if i == 0 {
			step = 0
		}
		at = at.Add(step)
		states = append(states, t.Observe(at, step, value, 5))
	}
	return states
}

func below5(t *testing.T, rule Rule) *Tracker {
	threshold, err := ParseThreshold("< 5", "", "1")
	require.NoError(t, err)
	rule.Threshold = threshold
	return NewTracker(rule)
}

func TestBriefTroubleIsNoBreach(t *testing.T) {
	tr := below5(t, Rule{For: 30 * time.Second})
	assert.Equal(t, []State{OK, Pending, Pending, OK, Pending, Pending, Pending, Breached},
		feed(tr, 1.0, 9.0, 9.0, 1.0, 9.0, 9.0, 9.0, 9.0))
}

func TestBreachWithoutFor(t *testing.T) {
	assert.Equal(t, []State{Breached, OK}, feed(below5(t, Rule{}), 9.0, 1.0))
}

func TestKeepFiring(t *testing.T) {
	tr := below5(t, Rule{KeepFiringFor: 20 * time.Second})
	assert.Equal(t, []State{Breached, Breached, Breached, OK, OK}, feed(tr, 9.0, 9.0, 1.0, 1.0, 1.0))
	tr = below5(t, Rule{KeepFiringFor: 20 * time.Second})
	assert.Equal(t, []State{Breached, Breached, Breached, Breached, OK}, feed(tr, 9.0, 1.0, 9.0, 1.0, 1.0), "trouble in between begins it anew")
}

func TestMissingIsItsOwnState(t *testing.T) {
	hold, pass := below5(t, Rule{For: 10 * time.Second}), below5(t, Rule{Missing: Pass})
	assert.Equal(t, []State{Missing, OK, Missing}, feed(hold, nil, 1.0, nil))
	assert.False(t, hold.Holds())
	assert.Equal(t, []State{Missing}, feed(pass, nil))
	assert.True(t, pass.Holds())
	asBreach := below5(t, Rule{For: 20 * time.Second, Missing: Breach})
	assert.Equal(t, []State{Pending, Pending, Breached}, feed(asBreach, nil, nil, nil))
}

func TestMissingDoesNotHealABreach(t *testing.T) {
	tr := below5(t, Rule{})
	assert.Equal(t, []State{Breached, Breached, OK}, feed(tr, 9.0, nil, 1.0))
}

func TestMissingBreaksPending(t *testing.T) {
	tr := below5(t, Rule{For: 20 * time.Second})
	assert.Equal(t, []State{Pending, Pending, Missing, Pending, Pending, Breached}, feed(tr, 9.0, 9.0, nil, 9.0, 9.0, 9.0))
}

// Time that nobody watched does not make a breach.
func TestGapDoesNotCount(t *testing.T) {
	tr := below5(t, Rule{For: 30 * time.Second})
	at := time.Unix(0, 0)
	assert.Equal(t, Pending, tr.Observe(at, 0, Known(9), 5))
	at = at.Add(time.Hour)
	assert.Equal(t, Pending, tr.Observe(at, 0, Known(9), 5), "an hour's gap is no hour of trouble")
	_, since := tr.State()
	assert.Equal(t, time.Unix(0, 0), since)
}

func TestSinceIsWhenItBroke(t *testing.T) {
	tr := below5(t, Rule{For: 20 * time.Second})
	feed(tr, 1.0, 9.0, 9.0, 9.0)
	state, since := tr.State()
	assert.Equal(t, Breached, state)
	assert.Equal(t, time.Unix(1010, 0), since)
	tr.Reset()
	state, _ = tr.State()
	assert.Equal(t, Missing, state)
}
