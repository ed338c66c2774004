package migration

// serviceVersions are those that registered agents tell, sorted, each once.
func (m *migration) serviceVersions() []string { return nil }
