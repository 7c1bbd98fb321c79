package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/creack/pty"
)

const (
	// How long a client may take to say goodbye.
	farewell = 500 * time.Millisecond

	largestScreen = 1000 // columns or rows

	statusIdle    websocket.StatusCode = 4000
	statusClogged websocket.StatusCode = 4001
)

var (
	errGone   = errors.New("the client went away")
	errSilent = errors.New("the client does not answer")
)

// ended is an end that the client is told of.
type ended struct {
	status websocket.StatusCode
	reason string
}

func (e ended) Error() string { return e.reason }

// session is one shell and the WebSocket that it is used through.
type session struct {
	terminal   *Terminal
	connection *websocket.Conn
	address    string
	opened     time.Time

	pty   *os.File
	inbox *inbox
	over  context.CancelCauseFunc // ends the session; the first to call it is right about why

	in, out  atomic.Int64
	lastByte atomic.Int64 // how long after opened
}

func newSession(t *Terminal, connection *websocket.Conn, address string) *session {
	return &session{terminal: t, connection: connection, address: address, opened: time.Now(), inbox: newInbox()}
}

func (s *session) run() {
	command := shell(s.terminal.options.Directory)
	var err error
	s.pty, err = pty.StartWithSize(command, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		s.terminal.log.Error("no terminal can be made", "reason", err)
		_ = s.connection.Close(websocket.StatusInternalError, "no terminal can be made")
		return
	}
	defer s.pty.Close()
	s.terminal.log.Debug("terminal opened", "address", s.address)
	family := newFamily(command.Process.Pid)

	ctx, over := context.WithCancelCause(s.terminal.life)
	s.over = over
	// The connection outlives the session, for saying goodbye.
	line, cut := context.WithCancel(context.Background())
	defer cut()
	go s.receive(line)
	go s.typeIn(ctx)
	go s.ping(line)
	go s.watchIdle(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		s.show(ctx, line)
	}()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = command.Wait() // How it ended is in its state.
	}()

	select {
	case <-exited:
	case <-ctx.Done():
	}
	// Whoever is left of it holds the terminal open, and the output would not end.
	family.end()
	<-exited
	select {
	case <-shown:
	case <-time.After(farewell):
		s.pty.Close()
	}
	over(ended{websocket.StatusNormalClosure, fmt.Sprintf("exit %d", exitCode(command.ProcessState))})
	s.sayGoodbye(line, cut, context.Cause(ctx), command)
	s.terminal.log.Info("terminal", "address", s.address, "opened", s.opened.UTC().Format(time.RFC3339),
		"duration", time.Since(s.opened).Round(time.Millisecond), "bytes_in", s.in.Load(), "bytes_out", s.out.Load(),
		"end", context.Cause(ctx))
}

// sayGoodbye closes the connection with the reason, if there is still somebody to be told.
func (s *session) sayGoodbye(line context.Context, cut func(), cause error, command *exec.Cmd) {
	defer time.AfterFunc(farewell, cut).Stop()
	var end ended
	switch {
	case errors.Is(cause, errStopping):
		_ = s.connection.Close(websocket.StatusGoingAway, cause.Error())
	case errors.As(cause, &end):
		if end.status == websocket.StatusNormalClosure {
			text, _ := json.Marshal(map[string]any{"type": "exit", "code": exitCode(command.ProcessState)})
			_ = s.connection.Write(line, websocket.MessageText, text)
		}
		_ = s.connection.Close(end.status, end.reason)
	default:
		_ = s.connection.CloseNow()
	}
}

// receive takes what the client sends, until there is no connection any more.
func (s *session) receive(line context.Context) {
	for {
		kind, message, err := s.connection.Read(line)
		if err != nil {
			s.over(errGone)
			return
		}
		if kind == websocket.MessageText {
			s.command(message)
			continue
		}
		s.in.Add(s.count(len(message)))
		if !s.inbox.put(message) {
			s.over(ended{statusClogged, "nothing reads what is typed"})
		}
	}
}

// command does what a text message asks for.
func (s *session) command(message []byte) {
	var c struct {
		Type string `json:"type"`
		Cols int    `json:"cols"`
		Rows int    `json:"rows"`
	}
	if err := json.Unmarshal(message, &c); err != nil || c.Type != "resize" {
		s.over(ended{websocket.StatusPolicyViolation, `a text message must be {"type":"resize","cols":N,"rows":N}`})
		return
	}
	// A page that is not laid out yet has a terminal of no size; that is no reason to end it.
	if c.Cols < 1 || c.Cols > largestScreen || c.Rows < 1 || c.Rows > largestScreen {
		return
	}
	_ = pty.Setsize(s.pty, &pty.Winsize{Cols: uint16(c.Cols), Rows: uint16(c.Rows)}) // The shell may just have ended.
}

// typeIn gives the shell what was typed.
func (s *session) typeIn(ctx context.Context) {
	for {
		select {
		case <-s.inbox.arrived:
			if _, err := s.pty.Write(s.inbox.take()); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// show gives the client what the shell and its programs write, until none of them is left.
func (s *session) show(ctx, line context.Context) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := s.pty.Read(buffer)
		if n > 0 && ctx.Err() == nil {
			s.out.Add(s.count(n))
			if s.connection.Write(line, websocket.MessageBinary, buffer[:n]) != nil {
				s.over(errGone)
			}
		}
		if err != nil { // EIO, when nobody has the terminal open any more.
			return
		}
	}
}

// ping keeps proxies from closing a silent connection, and finds out when there is nobody any more.
func (s *session) ping(line context.Context) {
	ticker := time.NewTicker(s.terminal.pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			ctx, cancel := context.WithTimeout(line, s.terminal.pongWithin)
			err := s.connection.Ping(ctx)
			cancel()
			if err != nil {
				s.over(errSilent)
				return
			}
		case <-line.Done():
			return
		}
	}
}

// count notes that n bytes came or went just now.
func (s *session) count(n int) int64 {
	s.lastByte.Store(int64(time.Since(s.opened)))
	return int64(n)
}

func (s *session) watchIdle(ctx context.Context) {
	limit := s.terminal.options.Idle
	for left := limit; left > 0; left = limit - (time.Since(s.opened) - time.Duration(s.lastByte.Load())) {
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return
		}
	}
	s.over(ended{statusIdle, fmt.Sprintf("idle for %s", limit)})
}
