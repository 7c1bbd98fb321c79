package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"appos/backend/internal/redistest"

	"github.com/coder/websocket"
)

const token = "0123456789abcdef0123456789abcdef"

// The program is this test itself, started under this variable: so it is raced and covered like everything else.
const asProgram = "APPOS_BACKEND_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || os.Args[0] == "appos-terminal" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// backend is a running program with real neighbours, but for Convex.
type backend struct {
	t       *testing.T
	redis   *redistest.Server
	convex  atomic.Value // what it answers to every POST
	address string
	env     []string
	command *exec.Cmd
	stderr  bytes.Buffer
}

func newBackend(t *testing.T) *backend {
	b := &backend{t: t, redis: redistest.Start(t), address: redistest.FreeAddress(t)}
	b.convex.Store(`{"status":"success","value":[]}`)
	convex := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "a-version")
			return
		}
		_, _ = io.WriteString(w, b.convex.Load().(string))
	}))
	t.Cleanup(convex.Close)
	directory := t.TempDir()
	schema, err := os.ReadFile("../schema/appos.sql")
	if err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(directory, "appos.db")
	db, err := sql.Open("sqlite3", database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(schema)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	b.env = []string{
		asProgram + "=1", "LISTEN_ADDRESS=" + b.address, "REDIS_ADDRESS=" + b.redis.Address,
		"REDIS_PASSWORD=" + redistest.Password, "CONVEX_URL=" + convex.URL, "DATABASE_FILE=" + database,
		"APPS_DIRECTORY=" + directory, "SERVICES_FILE=" + directory + "/services", "TERMINAL_TOKEN=" + token,
		"GOCOVERDIR=" + os.Getenv("GOCOVERDIR"),
	}
	return b
}

// run starts the program and waits until it listens.
func (b *backend) run() {
	b.t.Helper()
	b.command = exec.Command("/proc/self/exe")
	b.command.Env = b.env
	b.command.Stderr = &b.stderr
	if err := b.command.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.kill() })
	for range 1000 {
		if connection, err := net.Dial("tcp", b.address); err == nil {
			connection.Close()
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.t.Fatalf("it does not listen: %s", b.stderr.String())
}

// stop asks it to end, and checks that it says it was well.
func (b *backend) stop() {
	b.t.Helper()
	_ = b.command.Process.Signal(syscall.SIGTERM)
	if err := b.command.Wait(); err != nil {
		b.t.Errorf("%v: %s", err, b.stderr.String())
	}
}

func (b *backend) kill() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
}

func (b *backend) ask(method, path, body string) (int, string) {
	b.t.Helper()
	request, _ := http.NewRequest(method, "http://"+b.address+path, strings.NewReader(body))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// await asks until the answer has text in it.
func (b *backend) await(path, text string) {
	b.t.Helper()
	answer := ""
	for range 1000 {
		if _, answer = b.ask("GET", path, ""); strings.Contains(answer, text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("%s: no %s in %s", path, text, answer)
}

func (b *backend) enqueue(task string) (path string) {
	b.t.Helper()
	status, text := b.ask("POST", "/api/tasks", task)
	var accepted struct{ ID string }
	if err := json.Unmarshal([]byte(text), &accepted); err != nil || status != http.StatusAccepted {
		b.t.Fatal(status, text)
	}
	return "/api/tasks/" + accepted.ID
}

func TestWholeLife(t *testing.T) {
	b := newBackend(t)
	b.run()
	b.await("/api/health", `"convex":{"ok":true,`)
	if status, text := b.ask("GET", "/api/health", ""); status != 200 || !strings.Contains(text, `"version":"a-version"`) {
		t.Error(status, text)
	}
	b.await(b.enqueue(`{"type":"sum","payload":{"numbers":[20,22]}}`), `"result":{"sum":42}`)
	b.stop()
	for _, secret := range []string{token, redistest.Password} {
		if strings.Contains(b.stderr.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
	if !strings.Contains(b.stderr.String(), "stopped") {
		t.Error(b.stderr.String())
	}
}

func TestHealthSaysWhatIsWrong(t *testing.T) {
	b := newBackend(t)
	b.redis.Kill()
	b.run() // Needs nobody to start.
	if status, text := b.ask("GET", "/api/health", ""); status != 503 || !strings.Contains(text, "connection refused") || !strings.Contains(text, `"sqlite":{"ok":true`) {
		t.Error(status, text)
	}
	b.redis.Run()
	b.await("/api/health", `"status":"ok"`)
	b.redis.Signal(syscall.SIGSTOP)
	start := time.Now()
	if status, text := b.ask("GET", "/api/health", ""); status != 503 || !strings.Contains(text, "no answer within 1s") {
		t.Error(status, text)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	b.redis.Signal(syscall.SIGCONT)
	b.await("/api/health", `"status":"ok"`)
	b.stop()
}

func TestAcknowledgedIsKept(t *testing.T) {
	b := newBackend(t)
	b.run()
	if status, text := b.ask("PUT", "/api/settings/theme", `{"value":"dark"}`); status != 200 {
		t.Fatal(text)
	}
	running := b.enqueue(`{"type":"sleep","payload":{"seconds":1}}`)
	b.await(running, `"active"`)
	waiting := b.enqueue(`{"type":"echo","payload":{"a":1}}`)
	b.kill()
	b.redis.Kill()
	b.redis.Run()
	b.run()
	b.await("/api/settings", `"value":"dark"`)
	b.await(waiting, `"result":{"a":1}`)
	b.await(running, `"result":{"slept":1}`)
	b.stop()
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	b := newBackend(t)
	b.run()
	task := b.enqueue(`{"type":"sleep","payload":{"seconds":1}}`)
	b.await(task, `"active"`)

	// A request whose body is still under way when the signal comes.
	connection, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	body := `{"value":"late"}`
	fmt.Fprintf(connection, "PUT /api/settings/late HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:5])

	socket, _, err := websocket.Dial(context.Background(), "ws://"+b.address+"/terminal", &websocket.DialOptions{
		Subprotocols: []string{"appos.terminal.v1", "appos.token." + token},
	})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan websocket.StatusCode, 1)
	go func() {
		for {
			if _, _, err := socket.Read(context.Background()); err != nil {
				closed <- websocket.CloseStatus(err)
				return
			}
		}
	}()

	time.Sleep(100 * time.Millisecond)
	_ = b.command.Process.Signal(syscall.SIGTERM)
	if status := <-closed; status != websocket.StatusGoingAway {
		t.Errorf("the terminal was closed with %d", status)
	}
	fmt.Fprint(connection, body[5:])
	answer, err := io.ReadAll(connection)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("%s, %v", answer, err)
	}
	if err := b.command.Wait(); err != nil {
		t.Errorf("%v: %s", err, b.stderr.String())
	}
	b.run()
	b.await(task, `"state":"completed"`)
	b.await("/api/settings", `"late"`)
	b.stop()
}

func TestStopKeepsWithinItsGrace(t *testing.T) {
	b := newBackend(t)
	b.env = append(b.env, "SHUTDOWN_GRACE=1s")
	b.run()
	task := b.enqueue(`{"type":"sleep","payload":{"seconds":60}}`)
	b.await(task, `"active"`)
	start := time.Now()
	b.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	b.env = append(b.env, "SHUTDOWN_GRACE=200ms")
	b.run()
	b.await(task, `"state":"active","payload":{"seconds":60},"result":null,"error":null,"retried":0`)
	b.redis.Signal(syscall.SIGSTOP) // Nobody takes the task back.
	start = time.Now()
	b.stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("without Redis: took %s", took)
	}
	b.redis.Signal(syscall.SIGCONT)
}

func TestRefusesToStart(t *testing.T) {
	for name, c := range map[string]struct{ change, reason string }{
		"wrong value":  {"LOG_LEVEL=loud", `appos-backend: LOG_LEVEL: "loud" is not one of`},
		"no database":  {"DATABASE_FILE=/does/not/exist", "appos-backend: DATABASE_FILE: /does/not/exist: unable to open"},
		"no directory": {"APPS_DIRECTORY=/does/not/exist", "appos-backend: APPS_DIRECTORY: "},
		"no address":   {"LISTEN_ADDRESS=192.0.2.1:80", "appos-backend: LISTEN_ADDRESS: listen tcp"},
	} {
		b := newBackend(t)
		command := exec.Command("/proc/self/exe")
		command.Env = append(b.env, c.change)
		output, err := command.CombinedOutput()
		if err == nil || command.ProcessState.ExitCode() != 1 || !strings.Contains(string(output), c.reason) {
			t.Errorf("%s: %v %s", name, err, output)
		}
	}
}

func TestVersion(t *testing.T) {
	command := exec.Command("/proc/self/exe", "--version")
	command.Env = []string{asProgram + "=1"}
	output, err := command.Output()
	if err != nil || !strings.HasPrefix(string(output), "appos-backend ") {
		t.Error(string(output), err)
	}
}
