package enginetest

import (
	"errors"
	"os"
	"syscall"
)

// Hang makes the server take connections and calls and answer nothing, until
// Resume. It is how to make it fail: DynamoDB Local does not keep what it has
// acknowledged when it is killed, as DynamoDB does.
func (s *DynamoDBServer) Hang() error { return s.signal(syscall.SIGSTOP) }

// Resume ends Hang; what was called in the meantime is answered, if somebody
// still waits for it.
func (s *DynamoDBServer) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *DynamoDBServer) signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return errors.New("DynamoDB Local does not run")
	}
	return s.proc.cmd.Process.Signal(sig)
}
