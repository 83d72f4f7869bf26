package pgfake

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// Roots makes the two authorities that all tests share.
var Roots = sync.OnceValue(func() (list [2]*devca.CA) {
	for i := range list {
		ca, err := devca.New(fmt.Sprintf("test root %d", i), time.Hour)
		if err != nil {
			panic(err)
		}
		list[i] = ca
	}
	return list
})

// Issued returns a server certificate for db.internal, by the first of Roots.
func Issued(t testing.TB, edit ...func(*devca.Request)) devca.Pair {
	t.Helper()
	req := devca.Request{CommonName: "db", Hosts: []string{"db.internal"}}
	for _, e := range edit {
		e(&req)
	}
	pair, err := Roots()[0].Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
