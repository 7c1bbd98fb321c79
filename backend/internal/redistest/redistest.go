// Package redistest starts a real Redis for a test.
package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Password is what each server asks for.
const Password = "redistest"

// Server is a Redis on loopback that keeps its data when it is killed, like the container's.
type Server struct {
	Address string

	t         testing.TB
	directory string
	command   *exec.Cmd
}

// Start starts a server for as long as the test runs, or skips the test where there is no redis-server.
func Start(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("needs redis-server: apt-get install redis-server")
	}
	s := &Server{Address: FreeAddress(t), t: t, directory: t.TempDir()}
	s.Run()
	t.Cleanup(s.Kill)
	return s
}

// Run starts the server, again after Kill.
func (s *Server) Run() {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.Address)
	s.command = exec.Command("redis-server", "--bind", host, "--port", port, "--requirepass", Password,
		"--dir", s.directory, "--save", "", "--appendonly", "yes")
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := s.Client()
	defer client.Close()
	for range 500 {
		if client.Ping(context.Background()).Err() == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("redis-server does not answer")
}

// Kill kills the server.
func (s *Server) Kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// Signal sends the server a signal.
func (s *Server) Signal(signal os.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// Client is a new connection, for the caller to close.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Address, Password: Password})
}

// FreeAddress is an address on loopback that nobody listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
