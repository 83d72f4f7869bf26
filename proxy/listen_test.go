package proxy

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/internal/wire"
)

func TestAnAddressIsAHostWithAPortOrTheAbsolutePathOfASocket(t *testing.T) {
	for address, valid := range map[string]bool{
		"127.0.0.1:6432": true, "[::1]:6432": true, ":6432": true, "localhost:6432": true, "unix:/run/pgseal/.s.PGSQL.6432": true,
		"": false, "127.0.0.1": false, "unix:": false, "unix:relative": false, "::1:6432": false, "/run/pgseal": false,
		"*:6432": false,
	} {
		c := DefaultListenConfig()
		c.Address = address
		err := c.Validate()
		var key *setting.Error
		if valid != (err == nil) || err != nil && (!errors.As(err, &key) || key.Key != "address") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// listenUnix listens on a socket without TLS.
func (h *house) listenUnix(path string) (*Listener, error) {
	c := DefaultListenConfig()
	c.Address, c.TLS.Mode = "unix:"+path, "disable"
	return h.proxy.Listen(c, nil)
}

func TestAClientOnAUnixSocketIsServed(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), ".s.PGSQL.6432")
	_, err := h.listenUnix(path)
	ok(t, err)
	conn, err := net.Dial("unix", path)
	ok(t, err)
	defer conn.Close()
	ok(t, conn.SetDeadline(time.Now().Add(patience)))
	c := &client{Conn: conn, raw: conn, t: t, params: map[string]string{}}
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.greeted()
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("the answer is %q", got)
	}
	info, err := os.Stat(path)
	ok(t, err)
	if info.Mode().Perm() != 0o777 {
		t.Errorf("the socket has mode %v", info.Mode())
	}
	c.leave()
}

func TestASocketThatADeadProcessLeftIsReplaced(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), ".s.PGSQL.6432")
	ln, err := net.Listen("unix", path)
	ok(t, err)
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	_, err = h.listenUnix(path)
	ok(t, err)
}

func TestASocketThatSomebodyListensOnIsLeftAlone(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), ".s.PGSQL.6432")
	_, err := h.listenUnix(path)
	ok(t, err)
	if _, err := h.listenUnix(path); err == nil {
		t.Error("the socket was taken from who listens on it")
	}
	conn, err := net.Dial("unix", path)
	ok(t, err)
	conn.Close()
}

func TestAFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), "precious")
	ok(t, os.WriteFile(path, []byte("content"), 0o600))
	if _, err := h.listenUnix(path); err == nil {
		t.Error("it was listened on in the place of a file")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
}

func TestEachSessionFindsItsOwnKeyAndNoOther(t *testing.T) {
	var keys cancelKeys
	all := make([]*session, 1000)
	for i := range all {
		all[i] = &session{}
		keys.issue(all[i], wire.Version30)
		if k := all[i].conn.key; k.PID == 0 || k.PID >= 1<<31 || len(k.Secret) != 4 {
			t.Fatalf("process ID %d, secret of %d bytes", k.PID, len(k.Secret))
		}
	}
	for _, s := range all {
		if keys.find(s.conn.key) != s {
			t.Fatal("a key found another session")
		}
		wrong := s.conn.key
		wrong.Secret = string([]byte{wrong.Secret[0] ^ 1}) + wrong.Secret[1:]
		if keys.find(wrong) != nil {
			t.Fatal("a wrong secret found a session")
		}
	}
	keys.forget(all[0])
	keys.forget(&session{conn: clientConn{key: all[1].conn.key}}) // not the one it was issued to
	keys.forget(&session{})
	if keys.find(all[0].conn.key) != nil || keys.find(all[1].conn.key) != all[1] {
		t.Error("the wrong key was forgotten")
	}
}
