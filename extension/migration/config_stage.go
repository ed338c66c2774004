// This file is the configuration of stages: which flags go on together, in which order, and how long
// each is watched.

package migration

import (
	"errors"
	"fmt"
	"time"
)

// StageConfig is one step of the rollout.
type StageConfig struct {
	// ID is what operators call it: "1", "4a".
	ID string `mapstructure:"id"`
	// Name in a word.
	Name string `mapstructure:"name"`
	// Description for people: what changes for them.
	Description string `mapstructure:"description"`
	// Risk is low, medium or high.
	Risk string `mapstructure:"risk"`
	// Flags that the stage sets true.
	Flags []string `mapstructure:"flags"`
	// Soak is how long the stage must have been observed before the next may follow.
	Soak time.Duration `mapstructure:"soak"`
	// PreviousSoak is how long the stage before must have been observed before this one, where that is
	// longer than that stage's own soak.
	PreviousSoak time.Duration `mapstructure:"previous_soak"`
	// Exit names the criteria that must hold before the next stage.
	Exit []string `mapstructure:"exit"`
	// Guard names the criteria whose breach acts from this stage on.
	Guard []string `mapstructure:"guard"`
}

func (c *Config) validateStages() error {
	if len(c.Stages) == 0 {
		return errors.New("stages: must name at least one stage")
	}
	var errs []error
	ids, flags := map[string]int{}, map[string]string{}
	for i, s := range c.Stages {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("stages[%d]::"+format, append([]any{i}, args...)...))
		}
		switch first, taken := ids[s.ID]; {
		case s.ID == "" || s.ID == noStage:
			fail("id: %q: must be a short name other than %q, which means no stage at all", s.ID, noStage)
		case taken:
			fail("id: %q: stages[%d] has it already", s.ID, first)
		}
		ids[s.ID] = i
		if len(s.Flags) == 0 {
			fail("flags: must name at least one flag")
		}
		for _, f := range s.Flags {
			if other, taken := flags[f]; taken {
				fail("flags: %q: stage %q sets it already", f, other)
			}
			flags[f] = s.ID
		}
		if s.Risk != "" && s.Risk != "low" && s.Risk != "medium" && s.Risk != "high" {
			fail("risk: %q: must be low, medium or high", s.Risk)
		}
		if s.Soak < 0 || s.PreviousSoak < 0 {
			fail("soak: %s, previous_soak: %s: must not be negative", s.Soak, s.PreviousSoak)
		}
		for _, name := range append(append([]string(nil), s.Exit...), s.Guard...) {
			if _, ok := c.Criteria[name]; !ok {
				fail("guard, exit: %q: no such criterion; there are %s", name, c.criterionNames())
			}
		}
	}
	return errors.Join(errs...)
}
