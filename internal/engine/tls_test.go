package engine

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestACloseNotifyEndsAConnectionAfterWhatWasSentBefore(t *testing.T) {
	sizes := map[string]int{"at once": 0, "after a message": 100, "after many records": 300_000}
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e Engine) {
				in := newInbox()
				h := newHandler()
				h.data = in.add
				peer := adopt(t, e, true, h)
				sent := pattern(size)
				write(t, peer, sent)
				peer.(*tls.Conn).CloseWrite() // the alert alone: the socket stays open
				in.want(t, sent)
				if err := receive(t, "the end", h.ended); err != io.EOF {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestACloseNotifyWhileOurBytesWaitEndsTheConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		h := newHandler()
		peer := adopt(t, e, true, h)
		go h.conn.Write(make([]byte, much), nil)
		peer.(*tls.Conn).CloseWrite()
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAnEndInMidRecordIsNoOrderlyEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		ours, theirs := tcpPair(t)
		client := tls.Client(theirs, clientTLS())
		h := newHandler()
		adoptTLS(t, e, ours, client.Handshake, h)
		write(t, theirs, []byte{23, 3, 3, 1, 0, 'x'}) // the first byte of 256
		theirs.Close()
		if err := receive(t, "the end", h.ended); err != io.ErrUnexpectedEOF {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestARecordThatWasTamperedWithEndsTheConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		ours, theirs := tcpPair(t)
		client := tls.Client(theirs, clientTLS())
		h := newHandler()
		h.data = func([]byte) int { t.Error("Data was called"); return 0 }
		adoptTLS(t, e, ours, client.Handshake, h)
		write(t, theirs, append([]byte{23, 3, 3, 0, 100}, pattern(100)...))
		err := receive(t, "the end", h.ended)
		if err == nil || !strings.Contains(err.Error(), "bad record MAC") {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAnEchoWorksInEveryVersionOfTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e Engine) {
				ours, theirs := tcpPair(t)
				config := clientTLS()
				config.MaxVersion = version
				client := tls.Client(theirs, config)
				adoptTLS(t, e, ours, client.Handshake, echo())
				for _, size := range []int{1, 1000, 16 << 10, 16<<10 + 1, 100_000} {
					message := pattern(size)
					go client.Write(message)
					answer := make([]byte, size)
					if _, err := io.ReadFull(client, answer); err != nil || !bytes.Equal(answer, message) {
						t.Fatalf("%d bytes: %v", size, err)
					}
				}
			})
		})
	}
}

// OpenSSL's s_client sends a KeyUpdate for a line K, and asks for one of ours
// as well, or for a line k, and asks for none.
func TestKeyUpdatesOfAPeerAreFollowedAndAnswered(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := startSClient(t, l.Addr().String())
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		h := echo()
		adoptTLS(t, e, conn, func() error { return nil }, h)
		client.say(t, "before", "before")
		for _, request := range []string{"K", "k", "K", "K"} {
			client.say(t, request, "KEYUPDATE")
			message := "after " + request
			client.say(t, message, ">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
			if request == "K" {
				client.await(t, "<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
			}
			client.say(t, "again "+request, "again "+request)
		}
		client.in.Close()
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}

// sClient is a running openssl s_client.
type sClient struct {
	in    io.WriteCloser
	lines chan string
}

func startSClient(t *testing.T, addr string) *sClient {
	t.Helper()
	cmd := exec.Command("openssl", "s_client", "-connect", addr, "-tls1_3", "-msg")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sClient{in, make(chan string, 10_000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		<-read
		cmd.Wait()
	})
	return s
}

// say types a line and waits for what is to be printed.
func (s *sClient) say(t *testing.T, line, want string) {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	s.await(t, want)
}

func (s *sClient) await(t *testing.T, want string) {
	t.Helper()
	for !strings.Contains(receive(t, want, s.lines), want) {
	}
}
