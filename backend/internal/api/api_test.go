package api

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"appos/backend/internal/convex"
	"appos/backend/internal/health"
	"appos/backend/internal/redistest"
	"appos/backend/internal/settings"
	"appos/backend/internal/tasks"
	"appos/backend/internal/terminal"

	"github.com/redis/go-redis/v9"
)

type bench struct {
	http.Handler
	t        *testing.T
	services string
	store    *settings.Store
	convex   func(w http.ResponseWriter, r *http.Request)
	probe    health.Probe
}

// newBench has everything but Redis, which only tasks need.
func newBench(t *testing.T, connection redis.UniversalClient) *bench {
	b := &bench{t: t, services: filepath.Join(t.TempDir(), "services")}
	b.convex = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	b.probe = func(context.Context) (string, error) { return "1.0", nil }

	schema, err := os.ReadFile("../../../schema/appos.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "appos.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(schema)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if b.store, err = settings.Open(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.store.Close() })

	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.convex(w, r) }))
	t.Cleanup(upstream.Close)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Handler = New(Parts{
		Health: health.New(log, time.Second, map[string]health.Probe{
			"it": func(ctx context.Context) (string, error) { return b.probe(ctx) },
		}),
		ServicesFile: b.services,
		Tasks:        tasks.NewQueue(connection),
		Settings:     b.store,
		Activity:     convex.NewActivity(convex.New(upstream.URL), log),
		Terminal:     terminal.New(terminal.Options{Idle: time.Minute}, log),
		Log:          log,
	})
	return b
}

// nowhere is a Redis that is not there.
func nowhere(t *testing.T) redis.UniversalClient {
	connection := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { connection.Close() })
	return connection
}

// ask sends a request and checks what every answer must be.
func (b *bench) ask(method, target, body string, header ...string) (int, string, http.Header) {
	b.t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	b.ServeHTTP(answer, request)
	text := strings.TrimSpace(answer.Body.String())
	if answer.Code != http.StatusNoContent {
		if answer.Header().Get("Content-Type") != "application/json" || !json.Valid([]byte(text)) {
			b.t.Errorf("%s %s: no JSON: %s", method, target, text)
		}
		if answer.Header().Get("Cache-Control") != "no-store" {
			b.t.Errorf("%s %s may be cached", method, target)
		}
	}
	if answer.Code >= 400 && !strings.HasPrefix(text, `{"error":"`) && target != "/api/health" {
		b.t.Errorf("%s %s: %d without a reason: %s", method, target, answer.Code, text)
	}
	return answer.Code, text, answer.Header()
}

func (b *bench) expect(status int, text, method, target, body string, header ...string) {
	b.t.Helper()
	gotStatus, gotText, _ := b.ask(method, target, body, header...)
	if gotStatus != status || !strings.Contains(gotText, text) {
		b.t.Errorf("%s %s %.60s: %d %.300s", method, target, body, gotStatus, gotText)
	}
}

func TestHealth(t *testing.T) {
	b := newBench(t, nowhere(t))
	b.expect(200, `{"status":"ok","checks":{"it":{"ok":true,"latency_ms":`, "GET", "/api/health", "")
	b.expect(200, `"version":"1.0"`, "HEAD", "/api/health", "")
	b.probe = func(context.Context) (string, error) { return "", errors.New("it is on fire") }
	b.expect(503, `"error":"it is on fire"`, "GET", "/api/health", "")
	b.expect(503, `"status":"degraded"`, "GET", "/api/health", "")
}

func TestServices(t *testing.T) {
	b := newBench(t, nowhere(t))
	b.expect(503, "is missing", "GET", "/api/services", "")
	if err := os.WriteFile(b.services, []byte("redis RUNNING 1790000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.expect(200, `{"services":[{"name":"redis","state":"RUNNING","since":"2026-09-21T14:13:20Z","seconds":`, "GET", "/api/services", "")
}

func TestPathsAndMethods(t *testing.T) {
	b := newBench(t, nowhere(t))
	for _, path := range []string{"/", "/api", "/api/", "/api/nope", "/api/tasks/a/b", "/api/settings/", "/terminal/", "/terminalx"} {
		b.expect(404, "there is nothing at "+path, "GET", path, "")
	}
	for path, allowed := range map[string]string{
		"/api/health": "GET, HEAD", "/api/tasks": "GET, HEAD, POST", "/api/settings/a": "DELETE, PUT", "/terminal": "GET, HEAD",
	} {
		status, _, header := b.ask("PATCH", path, "")
		if status != 405 || header.Get("Allow") != allowed {
			t.Errorf("%s: %d, allows %s", path, status, header.Get("Allow"))
		}
	}
}

func TestSettings(t *testing.T) {
	b := newBench(t, nowhere(t))
	b.expect(200, `{"settings":[]}`, "GET", "/api/settings", "")
	b.expect(200, `{"key":"a","value":"1","updated_at":"20`, "PUT", "/api/settings/a", `{"value":"1"}`)
	b.expect(200, `{"key":"a/b","value":"","updated_at":"20`, "PUT", "/api/settings/a%2Fb", `{"value":""}`)
	b.expect(200, `{"settings":[{"key":"a","value":"1",`, "GET", "/api/settings", "")
	b.expect(204, ``, "DELETE", "/api/settings/a", "")
	b.expect(404, `no such setting`, "DELETE", "/api/settings/a", "")
	b.expect(400, `value is missing`, "PUT", "/api/settings/a", `{}`)
	b.expect(400, `at most 65536 bytes`, "PUT", "/api/settings/a", `{"value":"`+strings.Repeat("x", 65537)+`"}`)
	b.expect(400, `1 to 200 characters`, "PUT", "/api/settings/"+strings.Repeat("x", 201), `{"value":"x"}`)
	b.store.Close()
	b.expect(503, `closed`, "GET", "/api/settings", "")
	b.expect(503, `closed`, "PUT", "/api/settings/a", `{"value":"1"}`)
	b.expect(503, `closed`, "DELETE", "/api/settings/a", "")
}

func TestBodies(t *testing.T) {
	b := newBench(t, nowhere(t))
	for _, body := range []string{``, `{`, `[]`, `{"value":1}`, `{"value":"1","more":1}`, `{"value":"1"}{}`, `{"value":"1"} x`} {
		b.expect(400, "not the JSON that is expected", "PUT", "/api/settings/a", body)
	}
	b.expect(413, "longer than 262144 bytes", "PUT", "/api/settings/a", `{"value":"`+strings.Repeat("x", longestBody)+`"}`)
}

func TestPagesFromElsewhereChangeNothing(t *testing.T) {
	b := newBench(t, nowhere(t))
	b.expect(403, "not from here", "PUT", "/api/settings/a", `{"value":"1"}`, "Origin", "http://evil.example")
	b.expect(403, "not from here", "POST", "/api/tasks", `{"type":"echo"}`, "Origin", "null")
	b.expect(200, `"value":"1"`, "PUT", "/api/settings/a", `{"value":"1"}`, "Origin", "http://example.com")
	b.expect(200, "settings", "GET", "/api/settings", "", "Origin", "http://evil.example")
}

func TestActivity(t *testing.T) {
	b := newBench(t, nowhere(t))
	reply := func(text string) {
		b.convex = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	reply(`{"status":"success","value":[{"kind":"task","text":"a"}]}`)
	b.expect(200, `{"activity":[{"kind":"task","text":"a"}]}`, "GET", "/api/activity", "")
	reply(`{"status":"error","errorMessage":"Could not find public function for 'activity:list'."}`)
	b.expect(200, `{"activity":[],"note":"no deployment`, "GET", "/api/activity", "")
	reply(`{"status":"error","errorMessage":"Server Error"}`)
	b.expect(502, `Convex: activity:list: Server Error`, "GET", "/api/activity", "")
	b.convex = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	b.expect(502, `Convex: `, "GET", "/api/activity", "")
}

func TestTerminalStatus(t *testing.T) {
	b := newBench(t, nowhere(t))
	b.expect(200, `{"enabled":false,"sessions":0,"max_sessions":8,"idle_seconds":60}`, "GET", "/api/terminal", "")
	b.expect(503, "disabled", "GET", "/terminal", "")
}

func TestPanic(t *testing.T) {
	b := newBench(t, nowhere(t))
	b.convex = nil // The upstream panics; the handler itself is made to, below.
	a := api{Parts{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	b.Handler = a.guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
	b.expect(500, `{"error":"internal error"}`, "GET", "/", "")
}

func TestTasks(t *testing.T) {
	server := redistest.Start(t)
	connection := server.Client()
	defer connection.Close()
	b := newBench(t, connection)
	b.expect(200, `{"tasks":[],"counts":{}}`, "GET", "/api/tasks", "")
	status, text, header := b.ask("POST", "/api/tasks", `{"type":"sum","payload":{"numbers":[1]}}`)
	var task struct{ ID, State string }
	if err := json.Unmarshal([]byte(text), &task); err != nil || status != 202 || task.State != "pending" || header.Get("Location") != "/api/tasks/"+task.ID {
		t.Fatal(status, text, header, err)
	}
	b.expect(200, `"type":"sum","state":"pending","payload":{"numbers":[1]},"result":null,"error":null,"retried":0,"max_retry":3,`, "GET", "/api/tasks/"+task.ID, "")
	b.expect(200, task.ID, "GET", "/api/tasks", "")
	b.expect(404, "no such task", "GET", "/api/tasks/nope", "")
	b.expect(400, "type must be one of", "POST", "/api/tasks", `{"type":"nope"}`)
	b.expect(400, "type must be one of", "POST", "/api/tasks", `{}`)
	b.expect(400, "0 to 60", "POST", "/api/tasks", `{"type":"sleep","payload":{"seconds":100}}`)
	server.Kill()
	b.expect(503, "refused", "POST", "/api/tasks", `{"type":"echo"}`)
	b.expect(503, "refused", "GET", "/api/tasks", "")
	b.expect(503, "refused", "GET", "/api/tasks/"+task.ID, "")
}
