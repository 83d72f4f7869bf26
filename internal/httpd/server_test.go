package httpd

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/devca"
)

func nothing() []string { return nil }

// serve starts a server on a free port. Its page /metrics says "figures".
func serve(t *testing.T, edit func(*Options)) (s *Server, url string) {
	t.Helper()
	o := Options{
		Address: "127.0.0.1:0", Health: Health{nothing, nothing, nothing},
		Pages: map[string]http.Handler{"/metrics": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "figures") })},
	}
	if edit != nil {
		edit(&o)
	}
	s, err := Listen(zap.NewNop(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, "http://" + s.Addr().String()
}

func ask(t *testing.T, method, url, token string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body), answer.Header
}

func TestHealthSaysWhatIsMissing(t *testing.T) {
	var sick atomic.Bool
	question := func(what string) func() []string {
		return func() []string {
			if sick.Load() {
				return []string{what}
			}
			return nil
		}
	}
	_, url := serve(t, func(o *Options) {
		o.Health = Health{Alive: question("a loop"), Ready: question(`a "database"`), Started: question("a listener")}
	})
	for path, what := range map[string]string{"/healthz": "a loop", "/readyz": `a "database"`, "/startupz": "a listener"} {
		sick.Store(false)
		if code, body, _ := ask(t, "GET", url+path, ""); code != 200 || strings.TrimSpace(body) != `{"status":"ok"}` {
			t.Errorf("%s answers %d %s", path, code, body)
		}
		sick.Store(true)
		code, body, header := ask(t, "GET", url+path, "")
		var a answer
		if err := json.Unmarshal([]byte(body), &a); err != nil || code != 503 || a.Status != "unavailable" || len(a.Missing) != 1 || a.Missing[0] != what {
			t.Errorf("%s answers %d %s (%v)", path, code, body, err)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s has headers %v", path, header)
		}
	}
}

func TestOnlyGetAndHeadAreAnswered(t *testing.T) {
	_, url := serve(t, nil)
	for _, path := range []string{"/metrics", "/healthz", "/nowhere"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
			if code, _, header := ask(t, method, url+path, ""); code != 405 || header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, code, header.Get("Allow"))
			}
		}
		if code, body, _ := ask(t, "HEAD", url+path, ""); code == 405 || body != "" {
			t.Errorf("HEAD %s: %d %q", path, code, body)
		}
	}
	if code, _, _ := ask(t, "GET", url+"/nowhere", ""); code != 404 {
		t.Errorf("a path that is not there is answered with %d", code)
	}
}

func writeToken(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestATokenIsNeededForAllButHealthAndMayChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeToken(t, path, "0123456789abcdef\n")
	store, err := NewToken(path)
	if err != nil {
		t.Fatal(err)
	}
	_, url := serve(t, func(o *Options) { o.Token, o.Pprof = store, true })
	want := func(path, token string, want int) {
		t.Helper()
		code, body, header := ask(t, "GET", url+path, token)
		if code != want || code == 401 && (header.Get("WWW-Authenticate") == "" || strings.Contains(body, "figures")) {
			t.Errorf("%s with %q: %d %s", path, token, code, body)
		}
	}
	for _, page := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline"} {
		want(page, "", 401)
		want(page, "Bearer", 401)
		want(page, "Bearer 0123456789abcde", 401)
		want(page, "Basic 0123456789abcdef", 401)
		want(page, "Bearer 0123456789abcdef", 200)
		want(page, "bearer 0123456789abcdef", 200)
	}
	want("/healthz", "", 200)
	want("/readyz", "", 200)
	writeToken(t, path, "fedcba9876543210")
	if changed, err := store.Reload(); !changed || err != nil {
		t.Fatalf("the new token was not taken: %v", err)
	}
	want("/metrics", "Bearer 0123456789abcdef", 401)
	want("/metrics", "Bearer fedcba9876543210", 200)
}

func TestATokenThatIsNoneIsRefusedAndNotShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for _, text := range []string{"", "short", "two words that are long"} {
		writeToken(t, path, text)
		if _, err := NewToken(path); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	writeToken(t, path, "0123456789abcdef")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewToken(path); err == nil {
		t.Error("a token that everybody can read was taken")
	}
}

func TestAPageOfSomebodyElseCannotAskThroughABrowserHere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeToken(t, path, "0123456789abcdef")
	token, err := NewToken(path)
	if err != nil {
		t.Fatal(err)
	}
	for host, own := range map[string]bool{
		"127.0.0.1:9432": true, "127.0.0.1": true, "[::1]:9432": true, "[::1]": true, "localhost:9432": true, "LOCALHOST": true,
		"attacker.example:9432": false, "attacker.example": false, "localhost.attacker.example": false, "127.0.0.1.attacker.example:80": false, "": false,
	} {
		for name, o := range map[string]Options{
			"here": {Address: "127.0.0.1:0"}, "everywhere": {Address: "0.0.0.0:0"}, "with a token": {Address: "127.0.0.1:0", Token: token},
		} {
			r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
			r.Host = host
			r.Header.Set("Authorization", "Bearer 0123456789abcdef")
			o.Health = Health{nothing, nothing, nothing}
			o.Pages = map[string]http.Handler{"/metrics": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			o.handler().ServeHTTP(w, r)
			want := http.StatusOK
			if name == "here" && !own {
				want = http.StatusMisdirectedRequest
			}
			if w.Code != want {
				t.Errorf("%s, Host %q: %d, want %d", name, host, w.Code, want)
			}
		}
	}
}

func TestABrowserMaySendTheTokenAsAPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeToken(t, path, "0123456789abcdef")
	store, err := NewToken(path)
	if err != nil {
		t.Fatal(err)
	}
	_, url := serve(t, func(o *Options) { o.Token = store })
	for password, want := range map[string]int{"0123456789abcdef": 200, "0123456789abcdee": 401, "": 401} {
		given := "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+password))
		code, body, header := ask(t, "GET", url+"/metrics", given)
		if code != want {
			t.Errorf("%q is answered with %d %s", password, code, body)
		}
		if code == 401 && !slices.ContainsFunc(header.Values("WWW-Authenticate"), func(s string) bool { return strings.HasPrefix(s, "Basic ") }) {
			t.Errorf("a browser is not told to ask for it: %v", header)
		}
	}
}

func TestProfilesAreServedOnlyWhereAskedFor(t *testing.T) {
	_, without := serve(t, nil)
	if code, _, _ := ask(t, "GET", without+"/debug/pprof/", ""); code != 404 {
		t.Errorf("profiles nobody asked for are answered with %d", code)
	}
	_, with := serve(t, func(o *Options) { o.Pprof = true })
	if code, body, _ := ask(t, "GET", with+"/debug/pprof/goroutine?debug=1", ""); code != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("a profile is answered with %d", code)
	}
}

func TestACertificateThatIsReplacedIsShownAtTheNextHandshake(t *testing.T) {
	dir := t.TempDir()
	ca, err := devca.New("authority", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	replace := func(name string) {
		pair, err := ca.Issue(devca.Request{CommonName: name, Hosts: []string{"127.0.0.1"}, Life: time.Hour})
		if err == nil {
			err = pair.WriteFiles(cert, key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	replace("first")
	store, err := TLSConfig{cert, key}.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	s, _ := serve(t, func(o *Options) { o.Certificate = store })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	shown := func() string {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
		answer, err := client.Get("https://" + s.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name := shown(); name != "first" {
		t.Errorf("the certificate is %s", name)
	}
	replace("second")
	if changed, err := store.Reload(); !changed || err != nil {
		t.Fatalf("not reloaded: %v", err)
	}
	if name := shown(); name != "second" {
		t.Errorf("the certificate is %s", name)
	}
	if _, err := http.Get("http://" + s.Addr().String() + "/metrics"); err == nil {
		if code, body, _ := ask(t, "GET", "http://"+s.Addr().String()+"/metrics", ""); code == 200 {
			t.Errorf("plaintext is answered with %d %s", code, body)
		}
	}
}

func TestAnAddressInUseIsAClearError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = Listen(zap.NewNop(), Options{Address: ln.Addr().String(), Health: Health{nothing, nothing, nothing}})
	if err == nil || !strings.Contains(err.Error(), "http.address") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the error is %v", err)
	}
}

func TestAHeaderThatIsTooLargeIsRefused(t *testing.T) {
	s, _ := serve(t, nil)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("it is answered with %d", answer.StatusCode)
	}
}

// dialFrom opens a connection that comes from this address of the loopback.
func dialFrom(t *testing.T, from string, s *Server) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestConnectionsBeyondTheBoundWait(t *testing.T) {
	s, url := serve(t, nil)
	var idle []net.Conn
	for range maxOfAddress {
		idle = append(idle, dialFrom(t, "127.0.0.2", s), dialFrom(t, "127.0.0.3", s))
	}
	answered := make(chan int, 1)
	go func() {
		answer, err := http.Get(url + "/healthz")
		if err != nil {
			answered <- 0
			return
		}
		answer.Body.Close()
		answered <- answer.StatusCode
	}()
	select {
	case code := <-answered:
		t.Fatalf("it was answered with %d although all places were taken", code)
	case <-time.After(100 * time.Millisecond):
	}
	idle[0].Close()
	if code := <-answered; code != 200 {
		t.Errorf("it was answered with %d", code)
	}
}

func TestOneAddressLeavesPlacesToOthers(t *testing.T) {
	s, url := serve(t, nil)
	var first []net.Conn
	for range maxOfAddress {
		first = append(first, dialFrom(t, "127.0.0.2", s))
	}
	for range maxConns {
		conn := dialFrom(t, "127.0.0.2", s)
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Fatal("a connection too many is not closed")
		}
	}
	if code, _, _ := ask(t, "GET", url+"/healthz", ""); code != 200 {
		t.Errorf("another address was answered with %d", code)
	}
	first[0].Close()
	deadline := time.Now().Add(5 * time.Second)
	for { // its place is free again as soon as the server has seen it go
		conn := dialFrom(t, "127.0.0.2", s)
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a place that was given back is not lent again")
		}
	}
}

func TestOnlyWhoMaySeeAPageKeepsItsConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeToken(t, path, "0123456789abcdef")
	store, err := NewToken(path)
	if err != nil {
		t.Fatal(err)
	}
	_, url := serve(t, func(o *Options) { o.Token = store })
	for _, c := range []struct {
		page, token string
		kept        bool
	}{
		{"/healthz", "", false},
		{"/readyz", "Bearer 0123456789abcdef", false},
		{"/metrics", "", false},
		{"/nowhere", "", false},
		{"/metrics", "Bearer 0123456789abcdef", true},
	} {
		r, err := http.NewRequest("GET", url+c.page, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", c.token)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.Close == c.kept {
			t.Errorf("%s with the token %q: kept is %v", c.page, c.token, !answer.Close)
		}
	}
}

func TestWhatIsOpenToOtherMachinesIsWarnedOf(t *testing.T) {
	for address, warnings := range map[string]int{
		"": 0, "127.0.0.1:9432": 0, "localhost:9432": 0, "[::1]:9432": 0, "127.9.9.9:1": 0,
		"0.0.0.0:9432": 2, ":9432": 2, "[::]:9432": 2, "10.0.0.1:9432": 2, "pgseal.internal:9432": 2,
	} {
		c := DefaultConfig()
		c.Address = address
		if list := c.Warnings(); len(list) != warnings {
			t.Errorf("%q: %d warnings: %v", address, len(list), list)
		}
	}
	c := Config{Address: "0.0.0.0:1", TLS: TLSConfig{"c", "k"}, BearerTokenFile: "t"}
	if list := c.Warnings(); len(list) != 0 {
		t.Errorf("warnings of what is guarded: %v", list)
	}
}

func TestAConfigurationThatCantBeUsedIsRefused(t *testing.T) {
	for _, c := range []Config{{Address: "9432"}, {Address: "localhost"}, {Address: "1.2.3.4:"}} {
		if c.Validate() == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	for _, c := range []TLSConfig{{CertFile: "c"}, {KeyFile: "k"}} {
		if c.Validate() == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
