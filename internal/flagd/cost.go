// This file bounds what a rule can cost, whatever the context: the library that applies rules has no
// budget of its own, so a rule that could exceed one is refused when it is loaded.

package flagd

import (
	"errors"
	"fmt"
)

// Bounds of one evaluation, over all contexts that NewContext accepts.
const (
	maxSteps = 1_000_000 // operations, about 0.2 s
	maxMade  = 64 << 20  // bytes of strings and arrays made on the way
	scanned  = 4 << 10   // bytes of a string that are looked through in the time of one operation
)

// cost is what applying a rule can take at most.
type cost struct {
	steps float64 // operations
	made  float64 // bytes of strings and arrays made on the way
	bytes float64 // of the longest string in the result
}

// checkCost refuses a rule that could take more than an evaluation may.
func checkCost(logic any) error {
	if err := checkReduce(logic, false); err != nil {
		return err
	}
	c := costOf(logic)
	if c.steps > maxSteps {
		return fmt.Errorf("the rule could take %.0f steps, the limit is %d: arrays of up to %d are iterated within each other",
			c.steps, maxSteps, maxContextArray)
	}
	if c.made > maxMade {
		return fmt.Errorf("the rule could make %.0f bytes of strings, the limit is %d", c.made, maxMade)
	}
	return nil
}

// costOf walks logic from the leaves up.
func costOf(logic any) cost {
	switch logic := logic.(type) {
	case map[string]any:
		if len(logic) == 1 {
			for operator, args := range logic {
				return costOfOperation(operator, args)
			}
		}
		return costOfAll(valuesOf(logic))
	case []any:
		return costOfAll(logic)
	case string:
		return cost{steps: 1, bytes: float64(len(logic))}
	}
	return cost{steps: 1}
}

func costOfAll(list []any) cost {
	all := cost{steps: 1, made: 16 * float64(len(list))}
	for _, element := range list {
		part := costOf(element)
		all.steps += part.steps
		all.made += part.made
		all.bytes = max(all.bytes, part.bytes)
	}
	return all
}

func costOfOperation(operator string, args any) cost {
	all := costOf(args)
	switch operator {
	case "var":
		all.bytes = max(all.bytes, MaxContextBytes) // what is there, or the default
	case "map", "filter", "all", "none", "some", "reduce":
		return costOfIteration(args)
	case "cat", "substr":
		all.bytes *= float64(len(arguments(args)))
		all.made += all.bytes
	case "merge":
		all.made += 16 * maxContextArray * float64(len(arguments(args)))
	}
	all.steps += 1 + all.bytes/scanned
	return all
}

// costOfIteration is that of the body, once for each element of the longest array there can be.
func costOfIteration(args any) cost {
	list := arguments(args)
	all := costOf(list[0])
	if len(list) == 1 {
		return all
	}
	times := longest(list[0])
	body := costOf(list[1])
	all.steps += times * body.steps
	all.made += times * (body.made + 16)
	all.bytes = max(all.bytes, body.bytes)
	for _, rest := range list[2:] { // where reduce starts
		all.steps += costOf(rest).steps
	}
	return all
}

// longest is how many elements the array that logic results in can have.
func longest(logic any) float64 {
	switch logic := logic.(type) {
	case []any:
		return float64(len(logic))
	case map[string]any:
		for operator, args := range logic {
			switch operator {
			case "merge":
				var all float64
				for _, arg := range arguments(args) {
					all += longest(arg)
				}
				return all
			case "map", "filter":
				if list := arguments(args); len(list) > 0 {
					return longest(list[0])
				}
			case "if", "?:", "and", "or", "var":
				return max(maxContextArray, longest(arguments(args)), longestOf(arguments(args)))
			}
		}
	}
	return maxContextArray
}

func longestOf(list []any) float64 {
	var most float64
	for _, element := range list {
		most = max(most, longest(element))
	}
	return most
}

// checkReduce refuses to gather strings: each round could make the string longer by itself.
func checkReduce(logic any, inReduce bool) error {
	switch logic := logic.(type) {
	case []any:
		for _, element := range logic {
			if err := checkReduce(element, inReduce); err != nil {
				return err
			}
		}
	case map[string]any:
		for operator, args := range logic {
			if inReduce && (operator == "cat" || operator == "merge") {
				return errors.New(`"` + operator + `" within "reduce" could grow without bound`)
			}
			if err := checkReduce(args, inReduce || operator == "reduce"); err != nil {
				return err
			}
		}
	}
	return nil
}

func valuesOf(m map[string]any) []any {
	values := make([]any, 0, len(m))
	for _, v := range m {
		values = append(values, v)
	}
	return values
}
