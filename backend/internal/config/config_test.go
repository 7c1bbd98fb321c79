package config

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func env(t *testing.T, changes map[string]string) func(string) string {
	values := map[string]string{"DATABASE_FILE": "/data/appos.db", "APPS_DIRECTORY": t.TempDir()}
	for name, value := range changes {
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

func TestDefaults(t *testing.T) {
	c, err := Load(env(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenAddress != "127.0.0.1:8080" || c.LogLevel != slog.LevelInfo || c.TerminalIdle != 15*time.Minute ||
		c.ShutdownGrace != 8*time.Second || c.ServicesFile != "/run/appos/services" || c.TerminalToken != "" {
		t.Errorf("%+v", c)
	}
}

func TestGiven(t *testing.T) {
	token := strings.Repeat("Ab0_.-xy", 4)
	c, err := Load(env(t, map[string]string{
		"LISTEN_ADDRESS": "[::1]:80", "CONVEX_URL": "http://convex:1/", "LOG_LEVEL": "error",
		"TERMINAL_TOKEN": token, "TERMINAL_IDLE": "90s",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if c.ConvexURL != "http://convex:1" || c.LogLevel != slog.LevelError || c.TerminalToken != token || c.TerminalIdle != 90*time.Second {
		t.Errorf("%+v", c)
	}
}

func TestWrong(t *testing.T) {
	for name, values := range map[string][]string{
		"LISTEN_ADDRESS": {"8080", "127.0.0.1", "127.0.0.1:99999"},
		"REDIS_ADDRESS":  {"redis"},
		"CONVEX_URL":     {"127.0.0.1:3210", "ftp://convex", "http://"},
		"DATABASE_FILE":  {""},
		"APPS_DIRECTORY": {"", "/does/not/exist", "/dev/null"},
		"LOG_LEVEL":      {"INFO", "verbose"},
		"TERMINAL_TOKEN": {"hunter2", strings.Repeat("a", 31), strings.Repeat("with space ", 4), strings.Repeat("ä", 32)},
		"TERMINAL_IDLE":  {"15", "0s", "-1m", "soon"},
		"SHUTDOWN_GRACE": {"8", "0s"},
	} {
		for _, value := range values {
			_, err := Load(env(t, map[string]string{name: value}))
			if err == nil || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			if err != nil && name == "TERMINAL_TOKEN" && strings.Contains(err.Error(), value) {
				t.Errorf("the message tells the token: %v", err)
			}
		}
	}
}

func TestAllAtOnce(t *testing.T) {
	_, err := Load(func(string) string { return "x" })
	if err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("not everything that is wrong is named: %v", err)
	}
}
