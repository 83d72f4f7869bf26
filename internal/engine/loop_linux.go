package engine

import (
	"crypto/tls"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

// eventBatch is how many connections one epoll_wait may report.
const eventBatch = 256

const (
	readable = syscall.EPOLLIN | syscall.EPOLLRDHUP
	hangup   = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	edge     = 1 << 31 // EPOLLET, which package syscall has as a negative number
)

// Loops is an Engine of event loops.
type Loops struct {
	log   *zap.Logger
	loops []*loop
}

// NewLoops starts n event loops. Panics of handlers are logged to log.
func NewLoops(log *zap.Logger, n int) (*Loops, error) { return newLoops(log, n, time.Now) }

// newLoops is NewLoops with a clock, which timeouts are judged by.
func newLoops(log *zap.Logger, n int, now func() time.Time) (*Loops, error) {
	e := &Loops{log: log}
	for range n {
		l, err := newLoop(log, now)
		if err != nil {
			e.Close()
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// Adopt implements Engine. Connections go to the loop that has fewest.
func (e *Loops) Adopt(t *Transport, secured *tls.Conn, h Handler, set func(Conn)) {
	l := e.loops[0]
	for _, other := range e.loops[1:] {
		if other.count.Load() < l.count.Load() {
			l = other
		}
	}
	l.count.Add(1)
	c := &loopConn{loop: l, handler: h, tls: secured, maxRecord: t.maxRecord, dueAt: -1}
	fd, err := takeOver(t)
	c.io = nonBlocking{fd: fd, arm: c.armWritable}
	t.io = &c.io
	c.onFree, c.onResume = c.proceed, c.resume
	set(c)
	l.post(func() { l.register(c, err) })
}

// Probe implements Engine.
func (e *Loops) Probe(f func(loop int)) {
	for i, l := range e.loops {
		l.post(func() { f(i) })
	}
}

// Stats implements Engine.
func (e *Loops) Stats() []stats.Loop {
	list := make([]stats.Loop, len(e.loops))
	for i, l := range e.loops {
		list[i] = stats.Loop{Connections: int(l.count.Load()), Panics: l.panics.Load()}
	}
	return list
}

// takeOver returns a descriptor of the transport's socket that Go's own
// poller knows nothing of, and closes the one it knows.
func takeOver(t *Transport) (int, error) {
	sc, ok := t.conn.(syscall.Conn)
	if !ok {
		return -1, errors.New("the connection has no socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(s uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, s, syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			dupErr = errno
			return
		}
		fd = int(n)
	})
	t.conn.Close()
	return fd, errors.Join(err, dupErr)
}

// Close implements Engine.
func (e *Loops) Close() {
	for _, l := range e.loops {
		l.post(func() { l.closing = true })
	}
	for _, l := range e.loops {
		<-l.done
	}
}

// loop is one thread that waits on one epoll instance.
type loop struct {
	// Set once.
	log  *zap.Logger
	epfd int
	evfd int // an eventfd that wakes the loop
	now  func() time.Time
	done chan struct{}

	// Owned by the loop.
	conns    []*loopConn // by descriptor
	timeouts timeouts
	fat      []*loopConn // keep larger buffers than an idle connection should
	trimAt   time.Time   // when to look at them next
	raw      []byte      // what is read from sockets
	plain    []byte      // what handlers are given
	closing  bool
	// suspended is set between Suspend and Resume: all connections are held.
	suspended bool
	wakes     int // posters that are about to write to evfd, or whose write was not read yet

	count    atomic.Int64 // connections
	panics   atomic.Uint64
	sleeping atomic.Bool // a poster has to wake the loop

	mu    sync.Mutex
	tasks []task
	spare []task // the slice that is not in use
}

// task is something to be done on the loop. One that belongs to a connection
// is dropped once that is closed, and a panic in it ends the connection.
type task struct {
	conn *loopConn // nil: the loop's own
	run  func()
}

func newLoop(log *zap.Logger, now func() time.Time) (*loop, error) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	evfd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(epfd)
		return nil, errno
	}
	l := &loop{
		log: log, epfd: epfd, evfd: int(evfd), now: now, done: make(chan struct{}),
		raw: make([]byte, bufferSize), plain: make([]byte, bufferSize),
	}
	if err := l.control(syscall.EPOLL_CTL_ADD, l.evfd, syscall.EPOLLIN); err != nil {
		syscall.Close(epfd)
		syscall.Close(l.evfd)
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *loop) control(op, fd int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(l.epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// post has f run on the loop, soon.
func (l *loop) post(f func()) { l.add(task{run: f}) }

func (l *loop) add(t task) {
	l.mu.Lock()
	l.tasks = append(l.tasks, t)
	l.mu.Unlock()
	if l.sleeping.Swap(false) {
		l.wake()
	}
}

func (l *loop) wake() {
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.evfd), uintptr(unsafe.Pointer(&one)), 8)
}

// run is the loop's thread. It ends after Close, once its last connection is closed
// and no poster is about to write to evfd.
func (l *loop) run() {
	runtime.LockOSThread()
	defer close(l.done)
	defer syscall.Close(l.epfd)
	defer syscall.Close(l.evfd)
	events := make([]syscall.EpollEvent, eventBatch)
	for {
		for _, ev := range events[:l.wait(events)] {
			if fd := int(ev.Fd); fd == l.evfd {
				l.clearWake()
			} else if c := l.conn(fd); c != nil {
				c.guard(ev.Events)
			}
		}
		l.runTasks()
		l.runTimeouts()
		l.trimIdle()
		if l.closing && l.count.Load() == 0 && l.wakes == 0 {
			return
		}
	}
}

// maxSleep is far below what epoll_wait can count, which is 24 days.
const maxSleep = time.Hour

// wait sleeps until something is to be done, and returns how many events
// there are.
func (l *loop) wait(events []syscall.EpollEvent) int {
	// Under load there is something already. Then neither the scheduler nor a
	// poster has to know that we looked.
	if n, _ := epollWait(l.epfd, events, 0); n > 0 {
		return n
	}
	timeout := -1
	if len(l.timeouts.heap) > 0 {
		timeout = int(min(l.timeouts.next(l.now()), maxSleep) / time.Millisecond)
	}
	if len(l.fat) > 0 && (timeout < 0 || timeout > int(trimEvery/time.Millisecond)) {
		timeout = int(trimEvery / time.Millisecond)
	}
	// Posters look at sleeping after they added their task, and we at tasks
	// after we set sleeping: one of us sees the other.
	l.sleeping.Store(true)
	l.mu.Lock()
	busy := len(l.tasks) > 0
	l.mu.Unlock()
	if busy {
		timeout = 0
	}
	n, err := epollWait(l.epfd, events, timeout)
	if !l.sleeping.Swap(false) {
		l.wakes++
	}
	if err != nil && err != syscall.EINTR {
		l.log.Error("epoll_wait failed", zap.Error(err))
		time.Sleep(tick)
	}
	return max(n, 0)
}

// epollWait enters the scheduler only if it may block.
func epollWait(epfd int, events []syscall.EpollEvent, timeout int) (int, error) {
	p := unsafe.Pointer(&events[0])
	if timeout == 0 {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(p), uintptr(len(events)), 0, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
	return syscall.EpollWait(epfd, events, timeout)
}

func (l *loop) clearWake() {
	var n uint64
	syscall.RawSyscall(syscall.SYS_READ, uintptr(l.evfd), uintptr(unsafe.Pointer(&n)), 8)
	l.wakes -= int(n)
}

func (l *loop) conn(fd int) *loopConn {
	if fd >= len(l.conns) {
		return nil
	}
	return l.conns[fd]
}

func (l *loop) runTasks() {
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = l.spare[:0]
	l.mu.Unlock()
	for i, t := range tasks {
		if t.conn == nil {
			t.run()
		} else if !t.conn.closed {
			t.conn.protect(t.run)
		}
		tasks[i] = task{}
	}
	l.mu.Lock()
	l.spare = tasks
	l.mu.Unlock()
}

func (l *loop) runTimeouts() {
	if len(l.timeouts.heap) == 0 {
		return
	}
	now := l.now()
	for c := l.timeouts.expired(now); c != nil; c = l.timeouts.expired(now) {
		c.protect(c.timedOut)
	}
}

// trimEvery is how long a connection may be idle before its buffers are given
// back.
const trimEvery = time.Second

// trimIdle gives back the buffers of connections that have been idle.
func (l *loop) trimIdle() {
	if len(l.fat) == 0 {
		return
	}
	now := l.now()
	if now.Before(l.trimAt) {
		return
	}
	l.trimAt = now.Add(trimEvery)
	kept := l.fat[:0]
	for _, c := range l.fat {
		switch {
		case c.closed:
		case c.active:
			c.active = false
			kept = append(kept, c)
		default:
			c.fat = false
			trim(c.tls)
		}
	}
	clear(l.fat[len(kept):])
	l.fat = kept
}

// register starts reading a connection, or ends it if it could not be
// taken over. It may have been closed in the meantime.
func (l *loop) register(c *loopConn, err error) {
	if c.closed {
		return
	}
	if err == nil {
		err = c.watch()
	}
	if err != nil {
		c.end(err)
		return
	}
	for len(l.conns) <= c.io.fd {
		l.conns = append(l.conns, make([]*loopConn, max(64, len(l.conns)))...)
	}
	l.conns[c.io.fd] = c
	if l.suspended {
		c.held.Add(1)
	}
	// The handshake may have read ahead, where epoll can't see it.
	c.proceed()
	if c.tls != nil && !c.closed {
		trim(c.tls) // of what the handshake left
	}
}

// forget ends the loop's part in a connection.
func (l *loop) forget(c *loopConn) {
	if c.io.fd >= 0 {
		if l.conn(c.io.fd) == c {
			l.conns[c.io.fd] = nil
		}
		syscall.Close(c.io.fd) // which takes it out of epoll as well
	}
	l.timeouts.set(c, time.Time{})
	l.count.Add(-1)
}

// New returns n event loops.
func New(log *zap.Logger, n int) (Engine, error) { return NewLoops(log, n) }
