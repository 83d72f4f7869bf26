package backend

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// Whatever prints what is known of a connection, or a login, tells no secret.
func TestNoCancelKeyAndNoPasswordIsPrinted(t *testing.T) {
	p := Peer{Addr: "db.internal:5432", Key: wire.CancelKey{PID: 42, Secret: "key!"}}
	l := Login{User: "app", Password: password}
	for _, v := range []any{p, &p, p.Key, &p.Key, []wire.CancelKey{p.Key}, l, &l, struct{ Login }{l}, map[string]Login{"x": l}} {
		texts := []string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		encoded, err := json.Marshal(v)
		ok(t, err)
		for _, text := range append(texts, string(encoded)) {
			for _, secret := range []string{"key!", fmt.Sprintf("%x", "key!"), fmt.Sprintf("%X", "key!"), password, fmt.Sprintf("%x", password), fmt.Sprintf("%X", password)} {
				if strings.Contains(text, secret) {
					t.Errorf("%T prints as %s", v, text)
				}
			}
		}
	}
}
