package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnErrorNamesItsFileOrAddressOnce(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	socket := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const tls = "cert_file: DIR/tls.crt, key_file: DIR/tls.key"
	for name, test := range map[string]struct{ from, to, once, says string }{
		"certificate": {"DIR/tls.crt", "DIR/none-1", "/none-1", "no such file"},
		"key":         {"DIR/tls.key", "DIR/none-2", "/none-2", "no such file"},
		"directory":   {"DIR/tls.crt", "DIR", "/DIR", "not a regular file"},
		"roots":       {"DIR/ca.crt", "DIR/none-3", "/none-3", "no such file"},
		"password":    {"DIR/app.password", "DIR/none-4", "/none-4", "no such file"},
		"users":       {"DIR/users.txt", "DIR/none-5", "/none-5", "no such file"},
		"rules":       {"users_file", "hba_file: DIR/none-6, users_file", "/none-6", "no such file"},
		"an address":  {"0.0.0.0:6432", busy.Addr().String(), busy.Addr().String(), "address already in use"},
		"a file where the socket is to be": {
			"0.0.0.0:6432\n    tls: {" + tls + "}", "unix:" + socket, socket, "not a socket"},
	} {
		t.Run(name, func(t *testing.T) {
			path := checkSetUp(t, test.from, test.to)
			status, _, errs := runCLI("serve", "--config", path)
			_, text, found := strings.Cut(errs, "pgseal: ")
			if once := strings.ReplaceAll(test.once, "/DIR", filepath.Dir(path)+": "); !found || strings.Count(text, once) != 1 || !strings.Contains(text, test.says) || status == 0 {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}
