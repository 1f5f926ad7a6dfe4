package spool

import (
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/annals-dev/annals/audit"
)

// preparer makes the next segment ready while the current one fills: reserved
// and written with zeros. A sync into space that is only reserved has to write
// metadata too, to say that it is no longer unwritten.
type preparer struct {
	s     *Spool
	asked chan int64
	ready chan file
	over  chan struct{} // closed when the goroutine has ended
	quit  chan struct{}
	open  bool // asked and not yet taken; of the committing goroutine
}

func startPreparer(s *Spool) *preparer {
	p := &preparer{
		s: s, asked: make(chan int64, 1), ready: make(chan file, 1), over: make(chan struct{}), quit: make(chan struct{}),
	}
	go p.run()
	return p
}

func (p *preparer) path() string { return filepath.Join(p.s.own.dir, spareName) }

// ask orders one spare of the size, unless one is ready or on its way.
func (p *preparer) ask(size int64) {
	if !p.open {
		p.open = true
		p.asked <- size
	}
}

// get gives the spare under its new name, or nil where none is ready.
func (p *preparer) get(path string) file {
	select {
	case f := <-p.ready:
		p.open = false
		if f == nil {
			return nil
		}
		if err := p.s.opt.disk.rename(p.path(), path); err != nil {
			_ = f.Close()
			_ = p.s.opt.disk.remove(p.path())
			return nil
		}
		return f
	default:
		return nil
	}
}

func (p *preparer) run() {
	defer close(p.over)
	for {
		select {
		case <-p.quit:
			return
		case size := <-p.asked:
			f, err := p.prepare(size)
			if err != nil {
				p.s.faults.log(slog.LevelWarn, "the spool cannot prepare its next segment", "error", err)
			}
			p.ready <- f
		}
	}
}

// zeroStep is written and synced at a time, so that commits are not held up.
const zeroStep = 1 << 20

var zeroBlock [zeroStep]byte

func (p *preparer) prepare(size int64) (file, error) {
	f, err := p.s.opt.disk.create(p.path(), size)
	if err != nil {
		return nil, err
	}
	for off := int64(0); off < size && err == nil; off += zeroStep {
		select {
		case <-p.quit:
			err = audit.ErrClosed
			continue
		default:
		}
		if _, err = f.WriteAt(zeroBlock[:min(zeroStep, size-off)], off); err == nil {
			err = f.datasync()
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	_ = p.s.opt.disk.remove(p.path())
	if errors.Is(err, audit.ErrClosed) {
		err = nil
	}
	return nil, err
}

// stop ends the goroutine and removes a spare that was not used.
func (p *preparer) stop() {
	close(p.quit)
	<-p.over
	select {
	case f := <-p.ready:
		if f != nil {
			_ = f.Close()
			_ = p.s.opt.disk.remove(p.path())
		}
	default:
	}
}
