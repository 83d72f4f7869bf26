package engine

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"unsafe"
)

// nonBlocking is a transport's socket once an event loop has it: raw system
// calls that never wait.
type nonBlocking struct {
	fd int

	// Owned by the home loop: bytes that were read from the socket and that
	// the layer above has not asked for yet.
	in  []byte
	eof error

	mu     sync.Mutex // guards all below; the writer may be on any loop
	out    []byte     // what the kernel did not take
	corked bool       // gather writes in out
	err    error      // writing failed for good
	armed  bool       // the loop was asked for EPOLLOUT, because out waits for the kernel
	arm    func()     // asks for it, with mu held
}

// read gives the layer above what the loop has read for it.
func (n *nonBlocking) read(b []byte) (int, error) {
	if len(n.in) == 0 {
		if n.eof != nil {
			return 0, n.eof
		}
		return 0, errWouldBlock
	}
	c := copy(b, n.in)
	n.in = n.in[c:]
	return c, nil
}

// receive reads from the socket into buf. It returns 0 and nil if there is
// nothing to read.
func (n *nonBlocking) receive(buf []byte) (int, error) {
	for {
		// recvfrom spares what read does for files.
		c, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(n.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return 0, nil
		case errno != 0:
			return 0, errno
		case c == 0:
			return 0, io.EOF
		default:
			return int(c), nil
		}
	}
}

// maxBacklog is how many bytes may wait for a peer that does not read when it
// sends more itself. The source of a handler's bytes is paused long before;
// what comes to more is the TLS layer's own, such as its answers to a flood of
// key updates.
const maxBacklog = 8 << 20

var errBacklog = errors.New("peer does not read its data")

// overdue reports whether more waits than a peer that behaves would leave.
func (n *nonBlocking) overdue() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.out) > maxBacklog
}

// write sends b, or keeps what the kernel does not take. It fails only once
// the connection is dead.
func (n *nonBlocking) write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return 0, n.err
	}
	if n.corked || len(n.out) > 0 {
		n.out = append(n.out, b...)
		return len(b), nil
	}
	sent, err := n.send(b)
	if err != nil {
		n.err = err
		return 0, err
	}
	if sent < len(b) {
		n.out = append(borrow(), b[sent:]...)
		n.wantWritable()
	}
	return len(b), nil
}

// flush sends what was kept, and reports whether all of it has gone. mu is
// held.
func (n *nonBlocking) flush() bool {
	if n.err != nil {
		n.drop()
		return true
	}
	sent, err := n.send(n.out)
	if err != nil {
		n.err = err
		n.drop()
		return true
	}
	if sent == len(n.out) {
		n.drop()
		return true
	}
	n.out = n.out[:copy(n.out, n.out[sent:])]
	return false
}

// drop gives the buffer of unsent bytes back.
func (n *nonBlocking) drop() {
	giveBack(n.out)
	n.out = nil
}

func (n *nonBlocking) wantWritable() {
	if !n.armed {
		n.armed = true
		n.arm()
	}
}

// send makes as many system calls as the kernel takes bytes.
func (n *nonBlocking) send(b []byte) (sent int, err error) {
	for sent < len(b) {
		c, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(n.fd),
			uintptr(unsafe.Pointer(&b[sent])), uintptr(len(b)-sent), syscall.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return sent, nil
		case errno != 0:
			return sent, errno
		default:
			sent += int(c)
		}
	}
	return sent, nil
}

// unsent reports whether bytes wait for the kernel to take them. Only the home
// loop changes its answer from yes to no.
func (n *nonBlocking) unsent() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.armed && n.err == nil
}

// cork gathers what is written from now on.
func (n *nonBlocking) cork() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.corked = true
	if n.out == nil {
		n.out = borrow()
	}
}

// uncork sends what was gathered.
func (n *nonBlocking) uncork() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.corked = false
	if n.armed || n.flush() {
		return
	}
	n.wantWritable()
}
