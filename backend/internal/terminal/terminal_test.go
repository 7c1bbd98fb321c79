package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const token = "0123456789abcdef0123456789abcdef"

func TestMain(m *testing.M) {
	BecomeShell()
	os.Exit(m.Run())
}

// logBook can be read while it is written.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type host struct {
	*Terminal
	t         *testing.T
	server    *httptest.Server
	directory string
	log       *logBook
}

func newHost(t *testing.T, idle time.Duration) *host {
	h := &host{t: t, directory: t.TempDir(), log: &logBook{}}
	h.Terminal = New(Options{Token: token, Directory: h.directory, Idle: idle}, slog.New(slog.NewTextHandler(h.log, nil)))
	h.server = httptest.NewServer(h.Terminal)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Error("sessions did not end:", err)
		}
		h.server.Close()
	})
	return h
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func (h *host) dial(header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	connection, response, err := websocket.Dial(within(h.t, 5*time.Second), h.server.URL,
		&websocket.DialOptions{Subprotocols: protocols, HTTPHeader: header})
	return connection, response, err
}

// client is a terminal that was let in.
type client struct {
	*websocket.Conn
	t    *testing.T
	seen bytes.Buffer
}

func (h *host) open() *client {
	h.t.Helper()
	connection, response, err := h.dial(nil, Protocol, tokenPrefix+token)
	if err != nil {
		h.t.Fatal(err)
	}
	if got := response.Header.Get("Sec-WebSocket-Protocol"); got != Protocol {
		h.t.Fatalf("the server selected %q", got)
	}
	connection.SetReadLimit(-1)
	h.t.Cleanup(func() { _ = connection.CloseNow() })
	c := &client{Conn: connection, t: h.t}
	c.typeIn("PS1=; stty -echo; echo re''ady\n")
	c.expect("ready\r\n")
	return c
}

func (c *client) typeIn(text string) {
	c.t.Helper()
	if err := c.Write(within(c.t, 5*time.Second), websocket.MessageBinary, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.Write(within(c.t, 5*time.Second), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads on until text was shown, and gives what came before it.
func (c *client) expect(text string) string {
	c.t.Helper()
	for {
		if before, after, found := strings.Cut(c.seen.String(), text); found {
			c.seen.Reset()
			c.seen.WriteString(after)
			return before
		}
		kind, message, err := c.Read(within(c.t, 10*time.Second))
		if err != nil || kind != websocket.MessageBinary {
			c.t.Fatalf("%v %s; waiting for %q, seen %q", err, message, text, c.seen.String())
		}
		c.seen.Write(message)
	}
}

// ask runs a command and gives what it shows.
func (c *client) ask(command string) string {
	c.t.Helper()
	c.typeIn(command + "; echo do''ne\n")
	return strings.TrimSpace(c.expect("done\r\n"))
}

// end reads on until the connection is closed: the text messages that came, and how it was closed.
func (c *client) end() (texts []string, status websocket.StatusCode, reason string) {
	c.t.Helper()
	for {
		kind, message, err := c.Read(within(c.t, 10*time.Second))
		if err != nil {
			var closed websocket.CloseError
			if !errors.As(err, &closed) {
				c.t.Fatal(err)
			}
			return texts, closed.Code, closed.Reason
		}
		if kind == websocket.MessageText {
			texts = append(texts, string(message))
		} else {
			c.seen.Write(message)
		}
	}
}

func alive(number int) bool {
	_, there := processes()[number]
	return there
}

func (h *host) awaitDeath(numbers ...int) {
	h.t.Helper()
	for _, number := range numbers {
		for i := 0; alive(number); i++ {
			if i == 1000 {
				h.t.Fatalf("process %d lives on", number)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// number reads what a shell wrote into a file: what it shows may have a word on its jobs in between.
func (h *host) number(name string) int {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.directory, name))
	if err != nil {
		h.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestShell(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "a secret")
	h := newHost(t, time.Minute)
	c := h.open()
	for question, want := range map[string]string{
		"pwd":                h.directory,
		"echo ${HOME}":       h.directory,
		"echo $TERM $LANG":   "xterm-256color C.UTF-8",
		"tty | cut -c -9":    "/dev/pts/",
		"echo ä | od -An -c": "303 244  \\n",
		"cut -d' ' -f6 /proc/$$/stat | sed s/$$/itself/": "itself", // its session
	} {
		if got := c.ask(question); got != want {
			t.Errorf("%s: %q", question, got)
		}
	}
	for _, name := range strings.Fields(c.ask("env | sed 's/=.*//'")) {
		if !strings.Contains(" PATH HOME TERM LANG PWD OLDPWD SHLVL PS1 _ PAGER CHARSET LC_COLLATE ", " "+name+" ") {
			t.Errorf("%s is in the environment", name)
		}
	}
	if got := c.ask("tr '\\0' ' ' </proc/$$/environ"); strings.Contains(got, "secret") {
		t.Error(got)
	}
}

func TestExit(t *testing.T) {
	for command, want := range map[string]int{"exit 7\n": 7, "\x04": 0, "kill -KILL $$\n": 137} {
		h := newHost(t, time.Minute)
		c := h.open()
		c.typeIn(command)
		texts, status, _ := c.end()
		var message struct {
			Type string
			Code int
		}
		if len(texts) != 1 || json.Unmarshal([]byte(texts[0]), &message) != nil || message.Type != "exit" || message.Code != want {
			t.Errorf("%q: %q", command, texts)
		}
		if status != websocket.StatusNormalClosure {
			t.Errorf("%q: closed with %d", command, status)
		}
	}
}

func TestLastOutputIsShown(t *testing.T) {
	c := newHost(t, time.Minute).open()
	c.typeIn("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit\n")
	if _, status, _ := c.end(); status != websocket.StatusNormalClosure || !strings.HasSuffix(c.seen.String(), "line 19999\r\n") {
		t.Errorf("%d; ...%q", status, c.seen.String()[max(0, c.seen.Len()-100):])
	}
}

func TestResize(t *testing.T) {
	c := newHost(t, time.Minute).open()
	if got := c.ask("stty size"); got != "24 80" {
		t.Errorf("at first: %q", got)
	}
	c.say(`{"type":"resize","cols":132,"rows":43}`)
	if got := c.ask("stty size"); got != "43 132" {
		t.Errorf("%q", got)
	}
	for _, size := range []string{`"cols":0,"rows":0`, `"cols":-1,"rows":5`, `"cols":5,"rows":1001`, `"rows":5`, `"cols":null,"rows":null`} {
		c.say(`{"type":"resize",` + size + `}`)
		if got := c.ask("stty size"); got != "43 132" {
			t.Errorf("%s: %q", size, got)
		}
	}
}

func TestUnknownMessage(t *testing.T) {
	for _, text := range []string{`resize`, `{"type":"sing"}`, `[]`, `{"type":"resize","cols":"80","rows":24}`} {
		c := newHost(t, time.Minute).open()
		c.say(text)
		if _, status, _ := c.end(); status != websocket.StatusPolicyViolation {
			t.Errorf("%s: closed with %d", text, status)
		}
	}
}

func TestRefused(t *testing.T) {
	h := newHost(t, time.Minute)
	right := tokenPrefix + token
	for name, c := range map[string]struct {
		protocols []string
		origin    string
		status    int
	}{
		"no protocol":      {nil, "", 401},
		"no token":         {[]string{Protocol}, "", 401},
		"empty token":      {[]string{Protocol, tokenPrefix}, "", 401},
		"wrong token":      {[]string{Protocol, right[:len(right)-1] + "0"}, "", 401},
		"half a token":     {[]string{Protocol, right[:len(right)-1]}, "", 401},
		"longer token":     {[]string{Protocol, right + "0"}, "", 401},
		"only a token":     {[]string{right}, "", 400},
		"another origin":   {[]string{Protocol, right}, "http://evil.example", 403},
		"another port":     {[]string{Protocol, right}, "http://127.0.0.1", 403},
		"no origin at all": {[]string{Protocol, right}, "null", 403},
	} {
		header := http.Header{}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		_, response, err := h.dial(header, c.protocols...)
		if err == nil || response == nil || response.StatusCode != c.status {
			t.Errorf("%s: %v %v", name, response, err)
		}
	}
	connection, _, err := h.dial(http.Header{"Origin": {h.server.URL}}, Protocol, right)
	if err != nil {
		t.Fatal(err)
	}
	_ = connection.CloseNow()
	if strings.Contains(h.log.String(), token[:8]) {
		t.Error("the token is in the log")
	}
}

func TestNoWebSocket(t *testing.T) {
	h := newHost(t, time.Minute)
	request := httptest.NewRequest("GET", "/terminal", nil)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	if answer.Code != 401 {
		t.Error(answer.Code, answer.Body)
	}
	request.Header.Set("Sec-WebSocket-Protocol", Protocol+", "+tokenPrefix+token)
	answer = httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	if answer.Code != 426 || !strings.HasPrefix(answer.Body.String(), `{"error":`) {
		t.Error(answer.Code, answer.Body)
	}
}

func TestDisabled(t *testing.T) {
	var log logBook
	terminal := New(Options{}, slog.New(slog.NewTextHandler(&log, nil)))
	request := httptest.NewRequest("GET", "/terminal", nil)
	request.Header.Set("Sec-WebSocket-Protocol", Protocol+", "+tokenPrefix)
	answer := httptest.NewRecorder()
	terminal.ServeHTTP(answer, request)
	if answer.Code != 503 || terminal.Status().Enabled || !strings.Contains(log.String(), "TERMINAL_TOKEN is not set") {
		t.Error(answer.Code, answer.Body, log.String())
	}
}

func TestGuessing(t *testing.T) {
	h := newHost(t, time.Minute)
	attempt := func(token, address string) int {
		_, response, err := h.dial(http.Header{"X-Real-Ip": {address}}, Protocol, tokenPrefix+token)
		if err == nil {
			return 101
		}
		return response.StatusCode
	}
	statuses := make(chan int)
	for i := range mostFailures {
		go func() { statuses <- attempt(fmt.Sprint("guess", i), "203.0.113.1") }()
	}
	for range mostFailures {
		if status := <-statuses; status != 401 {
			t.Error(status)
		}
	}
	if status := attempt(token, "203.0.113.1"); status != 429 {
		t.Errorf("after %d wrong tokens the right one gives %d", mostFailures, status)
	}
	if status := attempt(token, "203.0.113.2"); status != 101 {
		t.Errorf("somebody else gets %d", status)
	}
}

func TestGuard(t *testing.T) {
	g, now := newGuard(token), time.Now()
	for range mostFailures {
		g.fail("a", now)
	}
	if !g.blocks("a", now.Add(59*time.Second)) || g.blocks("b", now) || g.blocks("a", now.Add(61*time.Second)) {
		t.Error("not a minute")
	}
	for i := range mostGuessers {
		g.fail(fmt.Sprint(i), now.Add(2*time.Minute))
	}
	if !g.blocks("nobody yet", now.Add(2*time.Minute)) {
		t.Error("guessers from everywhere are listened to")
	}
}

func TestIdle(t *testing.T) {
	h := newHost(t, time.Second)
	c := h.open()
	start := time.Now()
	for range 3 { // What is typed puts the end off.
		time.Sleep(500 * time.Millisecond)
		c.ask("true")
	}
	_, status, reason := c.end()
	if status != statusIdle || reason != "idle for 1s" {
		t.Errorf("%d %q", status, reason)
	}
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("ended after %s", took)
	}
}

// A ping is what keeps proxies from closing a silent connection, and what finds out that nobody is there any more.
func TestPing(t *testing.T) {
	h := newHost(t, time.Minute)
	h.pingEvery, h.pongWithin = 20*time.Millisecond, time.Second
	pings := make(chan struct{}, 1000)
	var silent atomic.Bool
	connection, _, err := websocket.Dial(within(t, 5*time.Second), h.server.URL, &websocket.DialOptions{
		Subprotocols: []string{Protocol, tokenPrefix + token},
		OnPingReceived: func(context.Context, []byte) bool {
			pings <- struct{}{}
			return !silent.Load()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.CloseNow() }()
	gone := make(chan error)
	go func() {
		for {
			if _, _, err := connection.Read(context.Background()); err != nil {
				gone <- err
				return
			}
		}
	}()
	for range 5 {
		<-pings
	}
	silent.Store(true)
	<-gone
	for !strings.Contains(h.log.String(), "does not answer") {
		time.Sleep(5 * time.Millisecond)
	}
}

func TestLimitOfSessions(t *testing.T) {
	h := newHost(t, time.Minute)
	var clients []*client
	for range MaxSessions {
		clients = append(clients, h.open())
	}
	_, response, err := h.dial(nil, Protocol, tokenPrefix+token)
	if err == nil || response.StatusCode != 503 {
		t.Fatal(response, err)
	}
	if h.Status().Sessions != MaxSessions {
		t.Errorf("%+v", h.Status())
	}
	_ = clients[0].CloseNow()
	for i := 0; h.Status().Sessions == MaxSessions && i < 1000; i++ {
		time.Sleep(5 * time.Millisecond)
	}
	h.open()
}

// What a terminal was used to start goes with it: jobs, what ignores the hang-up, what is stopped, and daemons.
func TestChildrenAreKilled(t *testing.T) {
	h := newHost(t, time.Minute)
	c := h.open()
	c.ask(`echo $$ >shell
		sleep 1000 & echo $! >job
		nohup sleep 1000 >/dev/null 2>&1 & echo $! >nohup
		sh -c 'trap "" HUP TERM INT; echo $$ >deaf; while :; do sleep 1; done' &
		sh -c 'kill -STOP $$' & echo $! >stopped
		setsid sh -c 'sleep 1000 & echo $! >daemon' >/dev/null 2>&1
		until [ -s deaf ] && [ -s daemon ]; do sleep 0.01; done`)
	var numbers []int
	for _, name := range []string{"shell", "job", "nohup", "deaf", "stopped", "daemon"} {
		numbers = append(numbers, h.number(name))
	}
	for _, n := range numbers {
		if !alive(n) {
			t.Fatalf("%d of %v is dead already", n, numbers)
		}
	}
	_ = c.CloseNow()
	h.awaitDeath(numbers...)
	for !strings.Contains(h.log.String(), "the client went away") {
		time.Sleep(5 * time.Millisecond)
	}
}

func TestJobsGoWithTheShell(t *testing.T) {
	h := newHost(t, time.Minute)
	c := h.open()
	c.ask("nohup sleep 1000 >/dev/null 2>&1 & echo $! >job")
	job := h.number("job")
	c.typeIn("exit\n")
	if _, status, _ := c.end(); status != websocket.StatusNormalClosure {
		t.Error(status)
	}
	h.awaitDeath(job)
}

// A program that reads nothing fills the terminal; the connection is served all the same, until it is far too much.
func TestNothingIsRead(t *testing.T) {
	c := newHost(t, time.Minute).open()
	c.typeIn("stty raw; echo ra''w; sleep 1000\n")
	c.expect("raw\n")
	chunk := strings.Repeat("x", longestMessage/2)
	for range 4 {
		c.typeIn(chunk)
	}
	pinged := make(chan error)
	go func() { pinged <- c.Ping(within(t, 5*time.Second)) }()
	go func() {
		time.Sleep(50 * time.Millisecond)
		for range 8 {
			if c.Write(within(t, 5*time.Second), websocket.MessageBinary, []byte(chunk)) != nil {
				return
			}
		}
	}()
	_, status, _ := c.end()
	if err := <-pinged; err != nil {
		t.Error(err)
	}
	if status != statusClogged {
		t.Errorf("closed with %d", status)
	}
}

func TestTooLongMessage(t *testing.T) {
	c := newHost(t, time.Minute).open()
	_ = c.Write(within(t, 5*time.Second), websocket.MessageBinary, make([]byte, longestMessage+1))
	if _, status, _ := c.end(); status != websocket.StatusMessageTooBig {
		t.Errorf("closed with %d", status)
	}
}

func TestStop(t *testing.T) {
	h := newHost(t, time.Minute)
	polite := h.open()
	rude := h.open() // It does not read, and so answers nothing.
	rude.ask("echo $$ >shell")
	shell := h.number("shell")
	statuses := make(chan websocket.StatusCode, 1)
	go func() {
		_, status, _ := polite.end()
		statuses <- status
	}()
	start := time.Now()
	if err := h.Stop(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	if status := <-statuses; status != websocket.StatusGoingAway {
		t.Errorf("closed with %d", status)
	}
	if alive(shell) {
		t.Error("a shell lives on")
	}
	if _, response, err := h.dial(nil, Protocol, tokenPrefix+token); err == nil || response.StatusCode != 503 {
		t.Error("a terminal was opened while stopping")
	}
}

func TestOneLineInTheLog(t *testing.T) {
	h := newHost(t, time.Minute)
	c := h.open()
	c.ask("echo a very private matter")
	c.typeIn("exit 3\n")
	c.end()
	for i := 0; !strings.Contains(h.log.String(), "\n") && i < 1000; i++ {
		time.Sleep(time.Millisecond)
	}
	text := h.log.String()
	if strings.Count(text, "\n") != 1 || strings.Contains(text, "private") {
		t.Errorf("%q", text)
	}
	for _, part := range []string{"address=127.0.0.1", "opened=20", "duration=", "bytes_in=", "bytes_out=", `end="exit 3"`} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in %q", part, text)
		}
	}
}

func TestNoShell(t *testing.T) {
	h := newHost(t, time.Minute)
	h.Terminal.options.Directory = "/does/not/exist"
	connection, _, err := h.dial(nil, Protocol, tokenPrefix+token)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Conn: connection, t: t}
	if _, status, _ := c.end(); status != websocket.StatusInternalError {
		t.Errorf("closed with %d", status)
	}
}

func TestExitCodeOfASignal(t *testing.T) {
	command := shell(t.TempDir())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = command.Process.Signal(syscall.SIGKILL)
	_ = command.Wait()
	if got := exitCode(command.ProcessState); got != 137 {
		t.Error(got)
	}
}
