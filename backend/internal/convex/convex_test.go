package convex

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const missing = `{"status":"error","errorMessage":"[Request ID: 0] Server Error\nCould not find public function for 'activity:add'. Did you forget to run ` + "`npx convex dev`" + `?"}`

// serve answers everything with one status and body, and keeps the last request.
func serve(t *testing.T, status int, body string) (*Client, *string) {
	var last string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		last = r.Method + " " + r.URL.Path + " " + string(text)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return New(server.URL), &last
}

func TestVersion(t *testing.T) {
	client, last := serve(t, 200, "precompiled-2026-05-27\n")
	if version, err := client.Version(context.Background()); err != nil || version != "precompiled-2026-05-27" || *last != "GET /version " {
		t.Error(version, err, *last)
	}
	client, _ = serve(t, 200, strings.Repeat("ä", 5000))
	if version, _ := client.Version(context.Background()); len(version) > 210 {
		t.Errorf("%d bytes of version", len(version))
	}
	client, _ = serve(t, 503, "starting")
	if _, err := client.Version(context.Background()); err == nil {
		t.Error("503 was taken for an answer")
	}
}

func TestCall(t *testing.T) {
	client, last := serve(t, 200, `{"status":"success","value":[1,2],"logLines":[]}`)
	value, err := client.Query(context.Background(), "activity:list", map[string]int{"limit": 5})
	if err != nil || string(value) != "[1,2]" {
		t.Error(string(value), err)
	}
	if *last != `POST /api/query {"args":{"limit":5},"format":"json","path":"activity:list"}` {
		t.Error(*last)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		reason string
		absent bool
	}{
		{200, missing, "activity:add", true},
		{560, missing, "activity:add", true},
		{200, `{"status":"error","errorMessage":"Server Error\n  at handler"}`, "Server Error at handler", false},
		{400, `{"code":"BadJsonBody","message":"no"}`, "answers 400", false},
		{500, "oops", "answers 500", false},
		{200, "oops", "no JSON", false},
	} {
		client, _ := serve(t, c.status, c.body)
		_, err := client.Mutation(context.Background(), "activity:add", nil)
		if err == nil || !strings.Contains(err.Error(), c.reason) || errors.Is(err, ErrNoFunction) != c.absent {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
	if _, err := New("http://127.0.0.1:1").Version(context.Background()); err == nil {
		t.Error("nobody answered")
	}
}

func TestActivityList(t *testing.T) {
	client, _ := serve(t, 200, `{"status":"success","value":[{"text":"a"}]}`)
	lines, err := NewActivity(client, slog.Default()).List(context.Background(), 50)
	if err != nil || len(lines) != 1 || string(lines[0]) != `{"text":"a"}` {
		t.Error(lines, err)
	}
	client, _ = serve(t, 200, `{"status":"success","value":null}`)
	if lines, err := NewActivity(client, slog.Default()).List(context.Background(), 50); err != nil || len(lines) != 0 {
		t.Error(lines, err)
	}
	client, _ = serve(t, 200, `{"status":"success","value":"text"}`)
	if _, err := NewActivity(client, slog.Default()).List(context.Background(), 50); err == nil {
		t.Error("a text was taken for a list")
	}
}

func TestActivityLogsChangesOnly(t *testing.T) {
	var body atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, body.Load().(string))
	}))
	defer server.Close()
	var log bytes.Buffer
	activity := NewActivity(New(server.URL), slog.New(slog.NewTextHandler(&log, nil)))
	success, failure := `{"status":"success","value":null}`, `{"status":"error","errorMessage":"disk full"}`
	for _, answer := range []string{success, missing, missing, missing, failure, failure, success, success} {
		body.Store(answer)
		activity.Add(context.Background(), "task", "text")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "no function") || !strings.Contains(lines[1], "disk full") || !strings.Contains(lines[2], "are stored") {
		t.Errorf("%s", log.String())
	}
}
