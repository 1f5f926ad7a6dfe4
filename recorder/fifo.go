package recorder

const chunkLen = 256

// fifo is a queue of items in chunks: no item is moved when it grows, and its
// memory goes back when it shrinks.
type fifo struct {
	head, tail *chunk
	n          int
	spare      *chunk // one emptied chunk, so that a short queue does not allocate
}

type chunk struct {
	items    [chunkLen]item
	from, to int
	next     *chunk
}

func (f *fifo) len() int { return f.n }

func (f *fifo) push(it *item) {
	if f.tail == nil || f.tail.to == chunkLen {
		c := f.spare
		if c == nil {
			c = new(chunk)
		}
		f.spare = nil
		if f.tail == nil {
			f.head = c
		} else {
			f.tail.next = c
		}
		f.tail = c
	}
	f.tail.items[f.tail.to] = *it
	f.tail.to++
	f.n++
}

// front gives the first item; the queue must not be empty.
func (f *fifo) front() *item { return &f.head.items[f.head.from] }

func (f *fifo) pop() {
	c := f.head
	c.items[c.from] = item{} // let go of the record
	c.from++
	f.n--
	if c.from < c.to {
		return
	}
	if c == f.tail {
		c.from, c.to = 0, 0
		return
	}
	f.head = c.next
	c.from, c.to, c.next = 0, 0, nil
	f.spare = c
}
