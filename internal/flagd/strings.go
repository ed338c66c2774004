// This file is flagd's operations on versions and strings
// (https://flagd.dev/reference/specifications/custom-operations/semver-operation-spec/ and
// string-comparison-operation-spec/).

package flagd

import "golang.org/x/mod/semver"

// semVer is flagd's operation sem_ver: a version, an operator, and the version to compare with.
func semVer(values, _ any) any {
	args, ok := values.([]any)
	if !ok || len(args) != 3 {
		return nil
	}
	version, ok1 := canonicalVersion(args[0])
	target, ok2 := canonicalVersion(args[2])
	if !ok1 || !ok2 {
		return nil
	}
	order := semver.Compare(version, target)
	switch args[1] {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "^":
		return semver.Major(version) == semver.Major(target)
	case "~":
		return semver.MajorMinor(version) == semver.MajorMinor(target)
	}
	return nil
}

// canonicalVersion returns the version with one "v" in front, as x/mod/semver wants it. "1" and "1.2" are versions.
func canonicalVersion(v any) (string, bool) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case float64:
		s = formatNumber(v)
	default:
		return "", false
	}
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		s = s[1:]
	}
	s = "v" + s
	return s, semver.IsValid(s)
}

func compareStrings(values any, compare func(s, part string) bool) any {
	args, ok := values.([]any)
	if !ok || len(args) != 2 {
		return nil
	}
	s, ok1 := args[0].(string)
	part, ok2 := args[1].(string)
	if !ok1 || !ok2 {
		return nil
	}
	return compare(s, part)
}
