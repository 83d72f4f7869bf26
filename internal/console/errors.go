package console

import (
	"cmp"
	"slices"
)

// showErrors shows the last errors that clients were sent. The text of a
// server's is not known here: it may hold data.
func showErrors(c *Console) (rows []row) {
	for _, e := range c.sources.Clients.LastErrors() {
		rows = append(rows, row{e.Time, e.Client, orNull(e.Database), orNull(e.User), orNull(e.Code), orNull(e.Severity), e.Source, orNull(e.Message)})
	}
	return rows
}

func showErrorsTotals(c *Console) (rows []row) {
	for class, n := range c.sources.Clients.ErrorCounts() {
		rows = append(rows, row{class.Source, class.Class, n})
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(string), b[1].(string)))
	})
	return rows
}
