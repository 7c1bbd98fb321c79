package terminal

import "sync"

// What a program may leave unread.
const inboxSize = 1 << 20

// inbox keeps what was typed until the shell takes it, so that a program that does not read cannot keep the connection
// from being served.
type inbox struct {
	arrived chan struct{}

	mu    sync.Mutex
	bytes []byte
}

func newInbox() *inbox { return &inbox{arrived: make(chan struct{}, 1)} }

// put says whether there was room.
func (i *inbox) put(bytes []byte) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.bytes)+len(bytes) > inboxSize {
		return false
	}
	i.bytes = append(i.bytes, bytes...)
	select {
	case i.arrived <- struct{}{}:
	default: // It is known already that something arrived.
	}
	return true
}

func (i *inbox) take() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	bytes := i.bytes
	i.bytes = nil
	return bytes
}
