package engine

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestAPeekLeavesTheByteAndTellsTheEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours := NewTransport(conn)
	defer ours.Close()

	ours.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, ok, err := PeekByte(ours); !ok || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing came: %t, %v", ok, err)
	}
	ours.SetReadDeadline(time.Time{})
	theirs.Write([]byte("xy"))
	for range 2 {
		if b, ok, err := PeekByte(ours); b != 'x' || !ok || err != nil {
			t.Errorf("peeked %q, %t, %v", b, ok, err)
		}
	}
	got := make([]byte, 2)
	if _, err := io.ReadFull(ours, got); err != nil || string(got) != "xy" {
		t.Errorf("read %q, %v", got, err)
	}
	theirs.Close()
	if _, _, err := PeekByte(ours); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	pipe, _ := net.Pipe()
	if _, ok, _ := PeekByte(pipe); ok {
		t.Error("a pipe has no socket to peek into")
	}
}
