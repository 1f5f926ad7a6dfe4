package enginetest

import (
	"io"
	"net"
	"sync"
)

// relay hands connections on to a server that does not survive a client which
// is killed: the engine in ClickHouse's library aborts when a connection is
// reset, which the server program does not. What it is sent ends in order.
type relay struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	ended bool
	open  map[net.Conn]struct{}
	conns sync.WaitGroup
}

func newRelay(target string) (*relay, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, target: target, open: map[net.Conn]struct{}{}}
	r.conns.Go(func() { r.attend() })
	return r, nil
}

// attend stays for as long as the relay is open.
func (r *relay) attend() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.conns.Go(func() { r.relayConn(in) })
	}
}

func (r *relay) relayConn(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp4", r.target)
	if err != nil {
		return
	}
	defer out.Close()
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return
	}
	r.open[in], r.open[out] = struct{}{}, struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, in)
		delete(r.open, out)
	}()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(out, in) // to the end of the client, however that comes
		_ = out.(*net.TCPConn).CloseWrite()
	})
	if _, err := io.Copy(in, out); err != nil {
		_, _ = io.Copy(io.Discard, out) // the server goes on to its own end
	}
	_ = in.Close()
	up.Wait()
}

func (r *relay) close() {
	r.mu.Lock()
	r.ended = true
	for c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	_ = r.listener.Close()
	r.conns.Wait()
}
