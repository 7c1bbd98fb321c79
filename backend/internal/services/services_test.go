package services

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	now := time.Unix(1790000123, 0)
	got, err := Read(write(t, "redis RUNNING 1790000000\n\nnginx FATAL 1790000200\n"), now)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	redis, nginx := got[0], got[1]
	if redis.Name != "redis" || redis.State != "RUNNING" || redis.Seconds != 123 || redis.Since.Format(time.RFC3339) != "2026-09-21T14:13:20Z" {
		t.Errorf("%+v", redis)
	}
	if nginx.State != "FATAL" || nginx.Seconds != 0 {
		t.Errorf("a clock that was set back: %+v", nginx)
	}
}

func TestEmpty(t *testing.T) {
	if got, err := Read(write(t, ""), time.Now()); err != nil || got == nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func TestWrong(t *testing.T) {
	for text, reason := range map[string]string{
		"redis RUNNING":             "line 1",
		"a RUNNING 1\nb DANCING 2":  "line 2",
		"redis RUNNING yesterday":   "yesterday",
		"redis RUNNING 1 and so on": "line 1",
		strings.Repeat("x", 1<<17):  "too long",
	} {
		if _, err := Read(write(t, text), time.Now()); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if _, err := Read("/does/not/exist", time.Now()); err == nil || !strings.Contains(err.Error(), "/does/not/exist is missing") {
		t.Error(err)
	}
	if _, err := Read(t.TempDir(), time.Now()); err == nil {
		t.Error("a directory was read")
	}
}
