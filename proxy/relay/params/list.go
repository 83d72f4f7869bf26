package params

import (
	"reflect"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// Parameters with a meaning of their own.
const (
	Role            = "role" // that SET ROLE sets
	ApplicationName = "application_name"
	dateStyle       = "DateStyle"
)

// Find returns the place of a name in a list, or -1.
func Find(list []wire.Parameter, name string) int {
	for i := range list {
		if list[i].Name == name {
			return i
		}
	}
	return -1
}

// maxReported bounds what a server may report. PostgreSQL has fifteen.
const maxReported = 200

// Replace returns a list with p in it, in a copy.
func Replace(list []wire.Parameter, p wire.Parameter) []wire.Parameter {
	i := Find(list, p.Name)
	switch {
	case i >= 0 && list[i] == p, i < 0 && len(list) >= maxReported:
		return list
	case i < 0:
		return append(list[:len(list):len(list)], p)
	}
	list = append([]wire.Parameter(nil), list...)
	list[i] = p
	return list
}

// FindFold returns the place of a name in a list, in any case, or -1.
func FindFold(list []wire.Parameter, name string) int {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return i
		}
	}
	return -1
}

// Merge returns list with p in it, in the place of what has its name.
func Merge(list []wire.Parameter, p wire.Parameter) []wire.Parameter {
	if i := FindFold(list, p.Name); i >= 0 {
		list[i] = p
		return list
	}
	return append(list, p)
}

// Same reports whether two lists are equal. Most of the time they are one.
func Same(a, b []wire.Parameter) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b)
}

// Unify is Same, and makes two lists that are equal one, so that to compare them
// again costs a look at a pointer. Of many lists the one that lies first in
// memory is left in the end. It reports whether it put another list in b.
func Unify(a, b *[]wire.Parameter) (equal, changed bool) {
	switch {
	case len(*a) != len(*b):
		return false, false
	case len(*a) == 0 || &(*a)[0] == &(*b)[0]:
		return true, false
	case !slices.Equal(*a, *b):
		return false, false
	}
	if changed = reflect.ValueOf(*a).Pointer() < reflect.ValueOf(*b).Pointer(); changed {
		*b = *a
	} else {
		*a = *b
	}
	return true, changed
}
