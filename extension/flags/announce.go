package flags

func (e *flagsExtension) announce(t transition) {}
func (e *flagsExtension) reloaded(err error)    {}
