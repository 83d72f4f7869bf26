package config

// source tells where a configuration was read from.
type source struct {
	path      string
	lines     map[string]int  // by path of keys
	variables map[string]bool // values that hold ${NAME}
}

// Path returns the file that the configuration was read from.
func (f File) Path() string { return f.source.path }

// Line returns where a key stands, such as listen[0].tls.cert_file, or the
// nearest key around it that is in the file, or 0.
func (f File) Line(key string) int { return nearest(f.source.lines, key) }

// FromEnvironment reports whether a value was made from environment variables,
// and so does not stand in the file.
func (f File) FromEnvironment(key string) bool { return f.source.variables[key] }

// Fault returns err as an *Error of a key, or nil: for files that the
// configuration names, which other packages read.
func (f File) Fault(key string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{File: f.source.path, Line: f.Line(key), Key: key, Err: err}
}
