package proxy

import (
	"sync"
	"testing"
)

func TestPinsMayBeCountedWhileClientsLogIn(t *testing.T) {
	h := open(t, servers(2))
	stop := make(chan struct{})
	var counting sync.WaitGroup
	counting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				h.proxy.Pins()
			}
		}
	})
	for range 20 {
		c := h.login("app", "search_path", "pg_temp", "application_name", "counted")
		c.ask("SELECT pid")
		c.leave()
	}
	close(stop)
	counting.Wait()
}
