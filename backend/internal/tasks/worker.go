package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

const (
	concurrency = 8
	// Asynq sleeps between two looks into an empty queue, for half to one and a half times as long as this, and ends no
	// earlier than that: with its own second here, an idle stop would take up to one and a half.
	lookEvery = 50 * time.Millisecond
	// How long a retry may be due before it is noticed.
	forwardEvery = 500 * time.Millisecond
	longestDelay = time.Minute
)

// Journal is told of tasks that finished.
type Journal interface {
	Add(ctx context.Context, kind, text string)
}

// Worker runs what is in the queue.
type Worker struct {
	connection redis.UniversalClient
	journal    Journal
	log        *slog.Logger
	grace      time.Duration
}

// NewWorker makes a Worker that gives running tasks as much as grace to finish before it puts them back into the queue.
func NewWorker(connection redis.UniversalClient, journal Journal, log *slog.Logger, grace time.Duration) *Worker {
	return &Worker{connection, journal, log, grace}
}

// Run waits until Redis answers, works until ctx is done, and then stops gracefully.
func (w *Worker) Run(ctx context.Context) error {
	if !w.waitForRedis(ctx) {
		return nil
	}
	if err := w.releaseOrphans(ctx); err != nil {
		w.log.Warn("tasks of an earlier process are run again in a minute or two only", "reason", err)
	}
	server := asynq.NewServerFromRedisClient(w.connection, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   map[string]int{queue: 1},
		TaskCheckInterval:        lookEvery,
		DelayedTaskCheckInterval: forwardEvery,
		RetryDelayFunc:           func(retried int, _ error, _ *asynq.Task) time.Duration { return delay(retried) },
		ShutdownTimeout:          w.grace,
		Logger:                   &quietLogger{log: w.log, limit: rate.Sometimes{First: 3, Interval: 10 * time.Second}},
		LogLevel:                 asynq.InfoLevel,
	})
	if err := server.Start(asynq.HandlerFunc(w.process)); err != nil {
		return fmt.Errorf("tasks: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

func (w *Worker) waitForRedis(ctx context.Context) bool {
	for w.connection.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// releaseOrphans lets the tasks that a killed process was running be run again at once. Each has a lease that Asynq
// would wait for, half a minute and more, because another machine might still be at work; there is no other here.
// Asynq looks for leases that ran out when it starts. All of them run out in 1970 after this.
func (w *Worker) releaseOrphans(ctx context.Context) error {
	leases := "asynq:{" + queue + "}:lease"
	return w.connection.ZUnionStore(ctx, leases, &redis.ZStore{Keys: []string{leases}, Weights: []float64{0}}).Err()
}

func (w *Worker) process(ctx context.Context, task *asynq.Task) error {
	kind, known := kinds[task.Type()]
	if !known {
		return fmt.Errorf("nobody knows how to do %q: %w", task.Type(), asynq.SkipRetry)
	}
	work, err := kind.parse(task.Payload())
	if err != nil {
		return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
	}
	result, err := work(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if _, err := task.ResultWriter().Write(text); err != nil {
		return err
	}
	w.journal.Add(ctx, "task", fmt.Sprintf("%s %s finished", task.Type(), task.ResultWriter().TaskID()))
	return nil
}

// delay doubles: 1 s, 2 s, 4 s, …
func delay(retried int) time.Duration {
	return min(longestDelay, time.Second<<min(retried, 6))
}

// quietLogger passes Asynq's words on. While Redis is away Asynq complains many times a second, and health says so already.
type quietLogger struct {
	log   *slog.Logger
	limit rate.Sometimes
}

func (l *quietLogger) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l *quietLogger) Info(args ...any)  { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l *quietLogger) Warn(args ...any) {
	l.limit.Do(func() { l.log.Warn(fmt.Sprint(args...), "from", "asynq") })
}
func (l *quietLogger) Error(args ...any) { l.Warn(args...) }
func (l *quietLogger) Fatal(args ...any) { l.log.Error(fmt.Sprint(args...), "from", "asynq") }
