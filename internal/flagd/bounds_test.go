package flagd

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRulesThatCouldCostTooMuchAreRefused(t *testing.T) {
	v := `{"var":"a"}`
	cases := map[string]struct{ targeting, evaluators, want string }{
		"deep":          {targeting: repeated(`{"!":[`, "1", "]}", 60), want: "deeper"},
		"very deep":     {targeting: repeated(`{"!":[`, "1", "]}", 5_001), want: "exceeded max depth"},
		"huge":          {targeting: `{"or":[` + strings.Repeat("1,", 5_000) + `1]}`, want: "more than 5000 values"},
		"nested maps":   {targeting: `{"map":[` + v + `,{"map":[` + v + `,{"==":[1,1]}]}]}`, want: "steps"},
		"growing":       {targeting: `{"reduce":[` + v + `,{"cat":[{"var":"accumulator"},{"var":"accumulator"}]},"x"]}`, want: "reduce"},
		"long strings":  {targeting: `{"cat":[` + strings.TrimSuffix(strings.Repeat(v+",", 2_100), ",") + `]}`, want: "bytes of strings"},
		"self":          {targeting: `{"$ref":"e"}`, evaluators: `{"e":{"!":[{"$ref":"e"}]}}`, want: "refer to themselves"},
		"billion laugh": {targeting: `{"$ref":"e9"}`, evaluators: laughs(), want: "more than 5000 values"},
		"no object":     {targeting: `[1]`, want: "object"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.evaluators == "" {
				c.evaluators = "{}"
			}
			_, err := Parse("f.json", []byte(`{"$evaluators":`+c.evaluators+`,`+ruleOf(c.targeting)[1:]))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func laughs() string {
	all := make([]string, 10)
	all[0] = `"e0":{"==":[1,1]}`
	for i := range 9 {
		all[i+1] = fmt.Sprintf(`"e%d":{"and":[{"$ref":"e%d"},{"$ref":"e%[2]d"},{"$ref":"e%[2]d"},{"$ref":"e%[2]d"}]}`, i+1, i)
	}
	return "{" + strings.Join(all, ",") + "}"
}

func TestRulesWithinTheBoundsAreTaken(t *testing.T) {
	for _, targeting := range []string{
		repeated(`{"if":[{"==":[{"var":"a"},1]},"a",`, `"a"`, "]}", 40),
		`{"some":[{"var":"roles"},{"==":[{"var":"name"},"admin"]}]}`,
		`{"in":["x",{"map":[{"filter":[{"var":"roles"},{"var":"on"}]},{"var":"name"}]}]}`,
		`{"==":[{"reduce":[{"var":"n"},{"+":[{"var":"accumulator"},{"var":"current"}]},0]},6]}`,
	} {
		_, err := Parse("f.json", []byte(ruleOf(targeting)))
		require.NoError(t, err, targeting)
	}
}

// The costliest rule that is taken, on the costliest context, ends within the time meant for it.
func TestWorstCaseIsBounded(t *testing.T) {
	body := `{"==":[1,1]}`
	for range 150 {
		body = `{"and":[` + body + `,true]}`
		if len(body) > 600 {
			break
		}
	}
	set := parsed(t, ruleOf(`{"none":[{"var":"a"},{"!":[`+body+`]}]}`))
	list := strings.TrimSuffix(strings.Repeat("1,", maxContextArray), ",")
	c, err := NewContext(json.RawMessage(`{"a":[` + list + `]}`))
	require.NoError(t, err)
	f, _ := set.Flag("f")
	start := time.Now()
	f.Evaluate(c, start)
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestContextsBeyondTheBoundsAreRefused(t *testing.T) {
	for name, context := range map[string]string{
		"too long":        `{"a":"` + strings.Repeat("x", MaxContextBytes) + `"}`,
		"too deep":        `{"a":` + repeated("[", "1", "]", 20) + `}`,
		"too many":        `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", maxContextArray+1), ",") + `]}`,
		"no object":       `[1]`,
		"a text":          `"x"`,
		"no JSON":         `{`,
		"key is a number": `{"targetingKey":1}`,
	} {
		_, err := NewContext(json.RawMessage(context))
		require.Error(t, err, name)
	}
	for _, context := range []string{``, `null`, `{}`, ` {} `, `{"targetingKey":null}`} {
		c, err := NewContext(json.RawMessage(context))
		require.NoError(t, err, context)
		require.Empty(t, c.TargetingKey())
	}
}

func TestBrokenDefinitionsAreRefused(t *testing.T) {
	flag := func(fields string) string { return `{"flags":{"f":{` + fields + `}}}` }
	for name, c := range map[string]struct{ document, want string }{
		"no JSON":             {`{`, "not a flag definition"},
		"no flags":            {`{}`, `"flags" is missing`},
		"flags are a text":    {`{"flags":"x"}`, "flags"},
		"no state":            {flag(`"variants":{"a":1}`), "ENABLED and DISABLED"},
		"wrong state":         {flag(`"state":"on","variants":{"a":1}`), `state is "on"`},
		"no variants":         {flag(`"state":"ENABLED"`), "0 variants"},
		"mixed variants":      {flag(`"state":"ENABLED","variants":{"a":1,"b":"x"}`), "one type"},
		"array as variant":    {flag(`"state":"ENABLED","variants":{"a":[1]}`), "boolean, string, number or object"},
		"nameless variant":    {flag(`"state":"ENABLED","variants":{"":1}`), "no name"},
		"wrong default":       {flag(`"state":"ENABLED","variants":{"a":1},"defaultVariant":"b"`), `defaultVariant is "b", the variants are a`},
		"metadata of objects": {flag(`"state":"ENABLED","variants":{"a":1},"metadata":{"x":{}}`), "metadata"},
		"empty key":           {`{"flags":{"":{"state":"ENABLED","variants":{"a":1}}}}`, "key"},
		"array without key":   {`{"flags":[{"state":"ENABLED","variants":{"a":1}}]}`, `"key" is missing`},
		"twice in an array":   {`{"flags":[{"key":"f","state":"ENABLED","variants":{"a":1}},{"key":"f","state":"ENABLED","variants":{"a":1}}]}`, "defined twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.json", []byte(c.document))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestYAMLAndArrays(t *testing.T) {
	yaml, err := Parse("flags.yaml", []byte("flags:\n  f:\n    state: ENABLED\n    variants: {on: true, off: false}\n    defaultVariant: on\n"+
		"  g:\n    state: ENABLED\n    variants: {true: 1, false: 0}\n    targeting: {\"==\": [{var: x}, 1]}\n"))
	require.NoError(t, err)
	f, _ := yaml.Flag("f")
	require.Equal(t, Boolean, f.Type)
	require.Equal(t, "on", f.Default.Name)
	g, _ := yaml.Flag("g")
	require.Equal(t, []string{"false", "true"}, g.VariantNames())

	array := parsed(t, `{"flags":[{"key":"f","state":"ENABLED","variants":{"a":1.5,"b":2}}]}`)
	f, ok := array.Flag("f")
	require.True(t, ok)
	require.Equal(t, Float, f.Type)
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/vectors.json", "../../config/flags.json"} {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(false, data)
	}
	f.Add(true, []byte("flags: {f: {state: ENABLED, variants: {true: &a [*a]}}}"))
	f.Add(false, []byte(ruleOf(`{"reduce":[{"var":""},{"cat":[{"var":"accumulator"}]},""]}`)))
	f.Fuzz(func(t *testing.T, isYAML bool, data []byte) {
		name := "f.json"
		if isYAML {
			name = "f.yaml"
		}
		start := time.Now()
		if set, err := Parse(name, data); err == nil {
			c := KeyContext("k")
			for _, flag := range set.Flags {
				flag.Evaluate(c, start)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Fatalf("took %v", took)
		}
	})
}

func FuzzEvaluate(f *testing.F) {
	f.Add(`{"fractional":[{"var":"a"},["a",50],["a",{"var":"n"}]]}`, `{"a":"x","n":3}`)
	f.Add(`{"if":[{"sem_ver":[{"var":"v"},"^","1"]},{"var":"x"},"a"]}`, `{"v":"1.2","x":{"cat":["a"]}}`)
	f.Add(`{"some":[{"var":"a"},{"<":[{"var":"x"},{"substr":["abc",{"var":"y"},-9]}]}]}`, `{"a":[{"x":1,"y":-5},[]]}`)
	f.Add(`{"missing_some":["x",{"var":"a.-1.b"}]}`, `{"a":[null]}`)
	f.Fuzz(func(t *testing.T, targeting, context string) {
		set, err := Parse("f.json", []byte(ruleOf(targeting)))
		if err != nil {
			return
		}
		c, err := NewContext(json.RawMessage(context))
		if err != nil {
			return
		}
		flag, ok := set.Flag("f")
		if !ok {
			return // the input has closed the flag and opened others
		}
		start := time.Now()
		if r := flag.Evaluate(c, start); (r.Reason == ReasonError) != (r.Error != nil) {
			t.Fatalf("%+v", r)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Fatalf("took %v", took)
		}
	})
}
