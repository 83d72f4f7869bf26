package httpd

import (
	"encoding/json"
	"net/http"
)

// Health answers three questions, each with what is missing; nothing is yes.
// The functions are called from any goroutine and must not block.
type Health struct {
	Alive   func() (missing []string) // otherwise it should be restarted
	Ready   func() (missing []string) // or it should get no new clients
	Started func() (missing []string) // or it needs more time
}

// answer is the body of an answer about health.
type answer struct {
	Status  string   `json:"status"` // ok | unavailable
	Missing []string `json:"missing,omitempty"`
}

// health answers a question with 200 or 503.
func health(ask func() []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		a, code := answer{Status: "ok"}, http.StatusOK
		if missing := ask(); len(missing) > 0 {
			a, code = answer{"unavailable", missing}, http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(a)
	}
}
