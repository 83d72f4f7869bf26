package ownsql

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/params"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// ReadContext asks for the values of prepared.Read, in their order.
var ReadContext = func() string {
	var list []string
	for _, name := range prepared.Read {
		list = append(list, "pg_catalog.current_setting('"+name+"')")
	}
	return "SELECT " + strings.Join(list, ", ")
}()

// InContext returns a statement that has the values of a context hold until
// the end of the transaction.
func InContext(context string) string {
	var set []wire.Parameter
	reset := make([]string, 0, len(prepared.Read))
	have := map[string]bool{}
	for part := range strings.SplitSeq(strings.TrimSuffix(context, "\x00"), "\x00") {
		if name, value, ok := strings.Cut(part, "="); ok {
			set = append(set, wire.Parameter{Name: name, Value: value})
			have[name] = true
		}
	}
	reset = append(reset, params.Role) // before what another role may not set
	for _, name := range prepared.Read {
		if !have[name] && name != params.Role {
			reset = append(reset, name)
		}
	}
	return Set(set, reset, true)
}
