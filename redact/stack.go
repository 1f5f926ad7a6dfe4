package redact

// stackSize is how many active nodes a walk holds without allocating.
const stackSize = 512

// nodeStack is a stack of nodes that lives on the goroutine's own stack until
// it outgrows it. A slice of a local array would not: it escapes.
type nodeStack struct {
	len   int
	fixed [stackSize]uint16
	more  []uint16
}

func (s *nodeStack) at(i int) uint16 {
	if i < stackSize {
		return s.fixed[i]
	}
	return s.more[i-stackSize]
}

func (s *nodeStack) push(n uint16) {
	switch i := s.len - stackSize; {
	case i < 0:
		s.fixed[s.len] = n
	case i < len(s.more):
		s.more[i] = n
	default:
		s.more = append(s.more, n)
	}
	s.len++
}

// moveDown drops the nodes from start to mark.
func (s *nodeStack) moveDown(start, mark int) {
	end := s.len
	s.len = start
	for i := mark; i < end; i++ {
		s.push(s.at(i))
	}
}
