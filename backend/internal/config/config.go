// Package config reads the environment: what is not given has a default, what is wrong is named with all else that is wrong.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config is everything that the environment decides.
type Config struct {
	ListenAddress string
	RedisAddress  string
	RedisPassword string
	ConvexURL     string
	DatabaseFile  string
	AppsDirectory string
	ServicesFile  string
	LogLevel      slog.Level
	TerminalToken string // empty: no terminal
	TerminalIdle  time.Duration
	ShutdownGrace time.Duration
}

// Shorter tokens could be guessed.
const shortestToken = 32

// Load reads the variables through getenv; the error has one line for each that is wrong.
func Load(getenv func(string) string) (Config, error) {
	e := environment{getenv: getenv}
	c := Config{
		ListenAddress: e.address("LISTEN_ADDRESS", "127.0.0.1:8080"),
		RedisAddress:  e.address("REDIS_ADDRESS", "127.0.0.1:6379"),
		RedisPassword: getenv("REDIS_PASSWORD"),
		ConvexURL:     e.url("CONVEX_URL", "http://127.0.0.1:3210"),
		DatabaseFile:  e.required("DATABASE_FILE"),
		AppsDirectory: e.directory("APPS_DIRECTORY"),
		ServicesFile:  e.text("SERVICES_FILE", "/run/appos/services"),
		LogLevel:      e.level("LOG_LEVEL", "info"),
		TerminalToken: e.token("TERMINAL_TOKEN"),
		TerminalIdle:  e.duration("TERMINAL_IDLE", "15m"),
		ShutdownGrace: e.duration("SHUTDOWN_GRACE", "8s"),
	}
	return c, errors.Join(e.problems...)
}

// environment collects what is wrong instead of stopping at the first.
type environment struct {
	getenv   func(string) string
	problems []error
}

func (e *environment) wrong(name, format string, args ...any) {
	e.problems = append(e.problems, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

func (e *environment) text(name, fallback string) string {
	if value := e.getenv(name); value != "" {
		return value
	}
	return fallback
}

func (e *environment) required(name string) string {
	value := e.getenv(name)
	if value == "" {
		e.wrong(name, "must be given")
	}
	return value
}

func (e *environment) address(name, fallback string) string {
	value := e.text(name, fallback)
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		e.wrong(name, "%q is not HOST:PORT", value)
	}
	return value
}

func (e *environment) url(name, fallback string) string {
	value := e.text(name, fallback)
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		e.wrong(name, "%q is not an http or https URL", value)
	}
	return strings.TrimRight(value, "/")
}

func (e *environment) directory(name string) string {
	value := e.required(name)
	if value == "" {
		return value
	}
	if info, err := os.Stat(value); err != nil || !info.IsDir() {
		e.wrong(name, "%q is not a directory", value)
	}
	return value
}

func (e *environment) level(name, fallback string) slog.Level {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug,
		"info":  slog.LevelInfo,
		"warn":  slog.LevelWarn,
		"error": slog.LevelError,
	}
	value := e.text(name, fallback)
	level, known := levels[value]
	if !known {
		e.wrong(name, "%q is not one of debug, info, warn, error", value)
	}
	return level
}

func (e *environment) duration(name, fallback string) time.Duration {
	value := e.text(name, fallback)
	duration, err := time.ParseDuration(value)
	if err != nil || duration <= 0 {
		e.wrong(name, "%q is not a duration above 0, such as 90s or 15m", value)
	}
	return duration
}

// token never repeats what was given: it is a secret even when it is wrong.
func (e *environment) token(name string) string {
	value := e.getenv(name)
	if value == "" {
		return ""
	}
	if len(value) < shortestToken {
		e.wrong(name, "must have at least %d characters", shortestToken)
	}
	// It travels as a WebSocket subprotocol, whose name is an HTTP token.
	if strings.ContainsFunc(value, func(r rune) bool { return !isTokenCharacter(r) }) {
		e.wrong(name, "may have letters, digits and any of !#$%%&'*+-.^_`|~ only")
	}
	return value
}

// RFC 9110, section 5.6.2.
func isTokenCharacter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
