package engine

import "testing"

// kept returns how many bytes a connection keeps for later.
func kept(t testing.TB, conn Conn) (n int) {
	t.Helper()
	c, ok := conn.(*loopConn)
	if !ok {
		return 0 // the portable engine has one buffer and keeps nothing else
	}
	at(t, c, func() {
		c.io.mu.Lock()
		defer c.io.mu.Unlock()
		n = len(c.rest) + len(c.unread) + len(c.io.out)
	})
	return n
}
