package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces environment variables with their values, which are not expanded
// again. It returns false if one is not set.
func (w *walker) expand(n *yaml.Node, t reflect.Type, path string) bool {
	if w.expanded[n] || !strings.Contains(n.Value, "${") {
		w.variables[path] = w.expanded[n]
		return true
	}
	w.variables[path] = true
	all := true
	w.expanded[n] = true
	n.Value = variable.ReplaceAllStringFunc(n.Value, func(m string) string {
		name := variable.FindStringSubmatch(m)[1]
		value, ok := w.env(name)
		if !ok {
			w.fault(n.Line, path, fmt.Errorf("environment variable %s is not set", name))
			all = false
		}
		return value
	})
	if n.Style == 0 && t.Kind() != reflect.String {
		n.Tag = "" // a number or a word, by what it is now
	}
	return all
}
