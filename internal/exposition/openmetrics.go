// This file makes a classic exposition of an OpenMetrics one.

package exposition

import (
	"bufio"
	"bytes"
	"strings"
)

// classicTypes are OpenMetrics' types that the classic format lacks, by what a sum can be made of.
var classicTypes = strings.NewReplacer(" unknown", " untyped", " stateset", " gauge", " info", " gauge")

// classic takes out of an OpenMetrics exposition what the parser does not read: exemplars, timestamps
// (fractional there) and the types that the classic format lacks.
func classic(body []byte) []byte {
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, maxExposition)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			if strings.HasPrefix(line, "# TYPE ") {
				line = classicTypes.Replace(line)
			}
			out.WriteString(line + "\n")
			continue
		}
		end := seriesEnd(line)
		if rest := strings.Fields(line[end:]); len(rest) > 0 {
			line = line[:end] + " " + rest[0] // the value; what follows is timestamp and exemplar
		}
		out.WriteString(line + "\n")
	}
	return out.Bytes()
}

// seriesEnd is where the name and labels of a sample end.
func seriesEnd(line string) int {
	end := strings.IndexAny(line, " {")
	if end < 0 || line[end] == ' ' {
		return max(end, 0)
	}
	quoted := false
	for i := end; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '}' && !quoted:
			return i + 1
		}
	}
	return len(line)
}
