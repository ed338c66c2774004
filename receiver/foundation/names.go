package foundation

// names remembers strings that come again and again (attribute keys, event names, agent ids), so that each
// is allocated once. It forgets all when it is full.
type names map[string]string

const maxNames = 1024

// intern returns b as a string.
func (n *names) intern(b []byte) string {
	if s, ok := (*n)[string(b)]; ok {
		return s
	}
	if len(b) > maxText {
		return string(b)
	}
	if *n == nil || len(*n) == maxNames {
		*n = make(names, maxNames/8)
	}
	s := string(b)
	(*n)[s] = s
	return s
}
