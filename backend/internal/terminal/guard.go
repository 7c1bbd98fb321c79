package terminal

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// Protocol is what the server speaks, and selects.
	Protocol = "appos.terminal.v1"
	// A browser cannot send a header of its own with a WebSocket, but it can name protocols.
	tokenPrefix = "appos.token."

	mostFailures = 10 // a minute, for each address
	mostGuessers = 1000
)

// credentials are the protocols that a request names: whether ours is among them, and the token, empty if there is none.
func credentials(r *http.Request) (speaks bool, token string) {
	for _, value := range r.Header.Values("Sec-WebSocket-Protocol") {
		for _, name := range strings.Split(value, ",") {
			name = strings.TrimSpace(name)
			if name == Protocol {
				speaks = true
			} else if rest, found := strings.CutPrefix(name, tokenPrefix); found {
				token = rest
			}
		}
	}
	return speaks, token
}

// guard knows the token, and who guessed wrong in this minute.
type guard struct {
	digest [sha256.Size]byte

	mu       sync.Mutex
	minute   time.Time
	failures map[string]int
}

func newGuard(token string) *guard {
	return &guard{digest: sha256.Sum256([]byte(token)), failures: make(map[string]int)}
}

// admits compares in a time that tells nothing, not even the length.
func (g *guard) admits(token string) bool {
	digest := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(digest[:], g.digest[:]) == 1
}

func (g *guard) fail(address string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	g.failures[address]++
}

// blocks says whether address has guessed too often to be listened to, even with the right token.
func (g *guard) blocks(address string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	return g.failures[address] >= mostFailures || len(g.failures) >= mostGuessers
}

// turn forgets what was before this minute.
func (g *guard) turn(now time.Time) {
	if now.Sub(g.minute) >= time.Minute {
		g.minute = now
		clear(g.failures)
	}
}
