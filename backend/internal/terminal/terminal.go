// Package terminal gives a shell on a pseudo-terminal over a WebSocket to who has the token.
//
// Binary messages are the terminal's bytes, both ways. Text messages are JSON: {"type":"resize","cols":80,"rows":24} from
// the client, {"type":"exit","code":0} from the server when the shell has ended.
package terminal

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"appos/backend/internal/web"

	"github.com/coder/websocket"
)

// MaxSessions is how many terminals may be open at once.
const MaxSessions = 8

// Longer than a paste; more in one message is no terminal's.
const longestMessage = 256 << 10

// The answer to a wrong token waits for this long.
const penalty = 300 * time.Millisecond

// Options are what differs from one installation to another.
type Options struct {
	Token     string // empty: no terminal
	Directory string
	Idle      time.Duration
}

// Terminal is the handler of /terminal.
type Terminal struct {
	options Options
	guard   *guard
	log     *slog.Logger
	slots   chan struct{}

	pingEvery, pongWithin time.Duration

	life     context.Context // ends when the server stops
	end      context.CancelCauseFunc
	mu       sync.Mutex
	sessions sync.WaitGroup
}

// New makes the handler.
func New(options Options, log *slog.Logger) *Terminal {
	if options.Token == "" {
		log.Warn("the terminal is disabled: TERMINAL_TOKEN is not set")
	}
	life, end := context.WithCancelCause(context.Background())
	return &Terminal{
		options: options,
		guard:   newGuard(options.Token),
		log:     log,
		slots:   make(chan struct{}, MaxSessions),
		// Often enough for proxies that close what is silent for a minute.
		pingEvery: 20 * time.Second,
		// A slow line may have a lot before the ping in its buffers.
		pongWithin: 30 * time.Second,
		life:       life,
		end:        end,
	}
}

// Status is what a page may know before it tries.
type Status struct {
	Enabled     bool `json:"enabled"`
	Sessions    int  `json:"sessions"`
	MaxSessions int  `json:"max_sessions"`
	IdleSeconds int  `json:"idle_seconds"`
}

// Status tells whether there is a terminal, and how many are open.
func (t *Terminal) Status() Status {
	return Status{
		Enabled:     t.options.Token != "",
		Sessions:    len(t.slots),
		MaxSessions: MaxSessions,
		IdleSeconds: int(t.options.Idle.Seconds()),
	}
}

// ServeHTTP lets in who may come in, then serves until the session ends.
func (t *Terminal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !t.authenticate(w, r) {
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		web.Refuse(w, http.StatusUpgradeRequired, "the terminal is a WebSocket")
		return
	}
	if !t.open() {
		w.Header().Set("Retry-After", "10")
		web.Refuse(w, http.StatusServiceUnavailable, "too many terminals are open, or the server is stopping")
		return
	}
	defer t.close()
	connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Protocol}})
	if err != nil {
		t.log.Debug("no WebSocket", "reason", err)
		return
	}
	connection.SetReadLimit(longestMessage)
	newSession(t, connection, web.RemoteAddress(r)).run()
}

// authenticate answers whom it does not let in; it comes before everything else.
func (t *Terminal) authenticate(w http.ResponseWriter, r *http.Request) bool {
	address := web.RemoteAddress(r)
	speaks, token := credentials(r)
	switch {
	case t.options.Token == "":
		web.Refuse(w, http.StatusServiceUnavailable, "the terminal is disabled: TERMINAL_TOKEN is not set")
	case t.guard.blocks(address, time.Now()):
		w.Header().Set("Retry-After", "60")
		web.Refuse(w, http.StatusTooManyRequests, "too many wrong tokens: wait a minute")
	case token == "": // Who has none does not guess.
		web.Refuse(w, http.StatusUnauthorized, "the terminal needs its token")
	case !t.guard.admits(token):
		t.guard.fail(address, time.Now())
		select {
		case <-time.After(penalty):
		case <-r.Context().Done():
		case <-t.life.Done():
		}
		web.Refuse(w, http.StatusUnauthorized, "this is not the terminal's token")
	case !web.SameOrigin(r):
		web.Refuse(w, http.StatusForbidden, "the page that asks is not from here")
	case !speaks:
		web.Refuse(w, http.StatusBadRequest, "the terminal speaks "+Protocol)
	default:
		return true
	}
	return false
}

// open takes a place, unless all are taken or the server is stopping.
func (t *Terminal) open() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life.Err() != nil {
		return false
	}
	select {
	case t.slots <- struct{}{}:
		t.sessions.Add(1)
		return true
	default:
		return false
	}
}

func (t *Terminal) close() {
	<-t.slots
	t.sessions.Done()
}

var errStopping = errors.New("the server is stopping")

// Stop ends all sessions and waits for them, as long as ctx lets it.
func (t *Terminal) Stop(ctx context.Context) error {
	t.mu.Lock()
	t.end(errStopping)
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		t.sessions.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
