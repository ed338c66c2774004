// This file lists the operations that rules may use, and tells the library of those that are ours.

package flagd

import (
	"strings"
	"sync"

	"github.com/diegoholiveira/jsonlogic/v3"
)

// operators are the operations that rules may use. Those with a function are added to the library.
// Every function is total: it takes whatever a context holds and returns nil where that has no meaning.
var operators = map[string]jsonlogic.OperatorFn{
	"fractional":  fractional,
	"sem_ver":     semVer,
	"starts_with": func(values, _ any) any { return compareStrings(values, strings.HasPrefix) },
	"ends_with":   func(values, _ any) any { return compareStrings(values, strings.HasSuffix) },

	"and": and, "or": or, "in": in, "var": variable, "cat": cat, "substr": substr,
	"+": sum, "-": minus, "*": times, "/": over, "%": modulo, "max": greatest, "min": least,

	"missing": nil, "missing_some": nil, "if": nil, "?:": nil,
	"==": nil, "===": nil, "!=": nil, "!==": nil, "!": nil, "!!": nil,
	">": nil, ">=": nil, "<": nil, "<=": nil,
	"map": nil, "filter": nil, "reduce": nil, "all": nil, "none": nil, "some": nil,
	"merge": nil,
}

// register adds the operators to the library, whose registry is the process's.
var register = sync.OnceFunc(func() {
	for name, fn := range operators {
		if fn != nil {
			jsonlogic.AddOperator(name, fn)
		}
	}
	jsonlogic.AddOperator(localVar, variable) // no rule may use it as written
})

func known(operator string) bool {
	_, ok := operators[operator]
	return ok
}
