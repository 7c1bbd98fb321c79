// Command appos-backend is the HTTP interface of AppOS. It is configured by its environment: see README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"appos/backend/internal/api"
	"appos/backend/internal/config"
	"appos/backend/internal/convex"
	"appos/backend/internal/health"
	"appos/backend/internal/settings"
	"appos/backend/internal/tasks"
	"appos/backend/internal/terminal"

	"github.com/redis/go-redis/v9"
)

func main() {
	terminal.BecomeShell()
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *showVersion {
		fmt.Println("appos-backend", version())
		return
	}
	if err := run(os.Getenv, os.Stderr); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			fmt.Fprintln(os.Stderr, "appos-backend:", line)
		}
		os.Exit(1)
	}
}

// run is the whole life of the server; it ends without an error when a signal asked for it.
func run(getenv func(string) string, stderr io.Writer) error {
	// From here on a signal is not lost. A second one ends the process at once.
	signalled, unhandle := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer unhandle()
	context.AfterFunc(signalled, unhandle)

	cfg, err := config.Load(getenv)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
	redis.SetLogger(redisLogger{log})

	store, err := settings.Open(cfg.DatabaseFile)
	if err != nil {
		return fmt.Errorf("DATABASE_FILE: %s: %w", cfg.DatabaseFile, err)
	}
	defer store.Close()
	// Ends with the process: where Asynq could not be stopped in time it would panic on a connection that is closed.
	connection := connectRedis(cfg)
	convexClient := convex.New(cfg.ConvexURL)
	activity := convex.NewActivity(convexClient, log)
	terminals := terminal.New(terminal.Options{
		Token:     cfg.TerminalToken,
		Directory: cfg.AppsDirectory,
		Idle:      cfg.TerminalIdle,
	}, log)

	server := &http.Server{
		Handler: api.New(api.Parts{
			Health: health.New(log, time.Second, map[string]health.Probe{
				"redis":  func(ctx context.Context) (string, error) { return "", connection.Ping(ctx).Err() },
				"convex": convexClient.Version,
				"sqlite": func(ctx context.Context) (string, error) { return "", store.Ping(ctx) },
			}),
			ServicesFile: cfg.ServicesFile,
			Tasks:        tasks.NewQueue(connection),
			Settings:     store,
			Activity:     activity,
			Terminal:     terminals,
			Log:          log,
		}),
		ReadHeaderTimeout: 5 * time.Second,
		// These end with the upgrade to a WebSocket.
		ReadTimeout:  15 * time.Second,
		WriteTimeout: 30 * time.Second,
		// Longer than the gateway keeps a connection for another request, so that it is never this side that closes one
		// under a request.
		IdleTimeout: 2 * time.Minute,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	listener, err := net.Listen("tcp", cfg.ListenAddress)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDRESS: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String(), "version", version())

	// Tasks that do not finish in time are put back into the queue, which takes a moment too.
	working, stopWorking := context.WithCancel(context.Background())
	defer stopWorking()
	worker := tasks.NewWorker(connection, activity, log, cfg.ShutdownGrace-min(time.Second, cfg.ShutdownGrace/4))
	worked := make(chan error, 1)
	go func() { worked <- worker.Run(working) }()

	select {
	case <-signalled.Done():
	case err := <-served:
		return err
	case err := <-worked:
		return err
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), cfg.ShutdownGrace)
	defer cancel()
	stop(ctx, log, map[string]func(context.Context) error{
		"requests":  server.Shutdown,
		"terminals": terminals.Stop,
		"tasks": func(ctx context.Context) error {
			stopWorking()
			select {
			case err := <-worked:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	log.Info("stopped", "after", time.Since(start).Round(time.Millisecond))
	return nil
}

// stop ends everything at once, and waits until all have ended or ctx does not let it any longer.
func stop(ctx context.Context, log *slog.Logger, parts map[string]func(context.Context) error) {
	var wg sync.WaitGroup
	for name, end := range parts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := end(ctx); err != nil {
				log.Warn("did not stop in time", "part", name, "reason", err)
			}
		}()
	}
	wg.Wait()
}

// connectRedis does not connect yet: Redis may come later, and may go and come back.
func connectRedis(cfg config.Config) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                  cfg.RedisAddress,
		Password:              cfg.RedisPassword,
		ContextTimeoutEnabled: true,
		DialTimeout:           time.Second,
		ReadTimeout:           2 * time.Second,
		WriteTimeout:          2 * time.Second,
		// After a failure, so that Asynq, which asks again at once, does not spin while Redis is away.
		MaxRetries:      1,
		MinRetryBackoff: 50 * time.Millisecond,
		MaxRetryBackoff: 100 * time.Millisecond,
		// After as many failures as this the client tries once a second only, and Redis would seem to be away for longer
		// than it is. Connections are made when needed: there are about ten.
		PoolSize: 256,
	})
}

// redisLogger takes the client's complaints, which say what health says.
type redisLogger struct{ log *slog.Logger }

func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...), "from", "redis client")
}

func version() string {
	number := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		number = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				number = setting.Value
			}
		}
	}
	return number + " " + runtime.Version()
}
