package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"appos/backend/internal/redistest"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// journal remembers what it was told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Add(_ context.Context, kind, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, kind+": "+text)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

type bench struct {
	*Queue
	t          *testing.T
	server     *redistest.Server
	connection *redis.Client
	journal    journal
}

func newBench(t *testing.T) *bench {
	server := redistest.Start(t)
	connection := server.Client()
	t.Cleanup(func() { connection.Close() })
	return &bench{Queue: NewQueue(connection), t: t, server: server, connection: connection}
}

// work starts a worker; what it gives back stops it.
func (b *bench) work(grace time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil))
	worker := NewWorker(b.connection, &b.journal, log, grace)
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

func (b *bench) add(kind, payload string) Task {
	b.t.Helper()
	task, err := b.Add(kind, json.RawMessage(payload))
	if err != nil {
		b.t.Fatal(err)
	}
	return task
}

// await waits until the task has the state.
func (b *bench) await(id, state string) Task {
	b.t.Helper()
	var task Task
	for range 1000 {
		var err error
		if task, err = b.Get(id); err != nil {
			b.t.Fatal(err)
		}
		if task.State == state {
			return task
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("not %s: %+v", state, task)
	return task
}

func TestTaskFromBeginningToEnd(t *testing.T) {
	b := newBench(t)
	if list, err := b.List(); err != nil || list.Tasks == nil || len(list.Tasks) != 0 {
		t.Fatalf("before there was any: %+v, %v", list, err)
	}
	task := b.add("sum", `{"numbers":[1,2]}`)
	if task.State != "pending" || task.Result != nil || task.Error != nil || task.CompletedAt != nil || task.MaxRetry != 3 {
		t.Errorf("%+v", task)
	}
	if task.CreatedAt == nil || time.Since(*task.CreatedAt).Abs() > time.Minute {
		t.Errorf("created at %v", task.CreatedAt)
	}
	b.work(time.Second)
	task = b.await(task.ID, "completed")
	if string(task.Result) != `{"sum":3}` || task.Error != nil || task.CompletedAt == nil || string(task.Payload) != `{"numbers":[1,2]}` {
		t.Errorf("%+v", task)
	}
	if line := "task: sum " + task.ID + " finished"; b.journal.text() != line {
		t.Errorf("%q", b.journal.text())
	}
}

func TestFailureIsRetried(t *testing.T) {
	b := newBench(t)
	b.work(time.Second)
	task := b.await(b.add("fail", "").ID, "retry")
	if task.Error == nil || *task.Error != "fails, as it was asked to" || task.MaxRetry != 2 || task.NextAttemptAt == nil || task.FailedAt == nil {
		t.Errorf("%+v", task)
	}
	task = b.await(task.ID, "archived")
	if task.Retried != 2 || task.Error == nil || task.Result != nil || task.NextAttemptAt != nil {
		t.Errorf("%+v", task)
	}
	if b.journal.text() != "" {
		t.Errorf("a failure was noted as finished: %q", b.journal.text())
	}
}

func TestUnknown(t *testing.T) {
	b := newBench(t)
	if _, err := b.Add("format-disk", nil); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	for _, id := range []string{"", "nope", "0196e8b0-0000-7000-8000-000000000000"} {
		if _, err := b.Get(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	// What another version of the backend enqueued, or somebody by hand, does not come back for ever.
	client := asynq.NewClientFromRedisClient(b.connection)
	info, err := client.Enqueue(asynq.NewTask("format-disk", []byte(`{}`)))
	if err != nil {
		t.Fatal(err)
	}
	b.work(time.Second)
	if task := b.await(info.ID, "archived"); task.Retried != 0 || task.CreatedAt != nil {
		t.Errorf("%+v", task)
	}
	if _, err := b.Get(info.ID); err != nil {
		t.Error(err)
	}
}

func TestNewestFirst(t *testing.T) {
	b := newBench(t)
	const number = 230
	for i := range number {
		b.add("echo", fmt.Sprintf(`{"i":%d}`, i))
	}
	newest := func() {
		t.Helper()
		list, err := b.List()
		if err != nil || len(list.Tasks) != longestList {
			t.Fatalf("%d tasks, %v", len(list.Tasks), err)
		}
		for i, task := range list.Tasks {
			if want := fmt.Sprintf(`{"i":%d}`, number-1-i); string(task.Payload) != want {
				t.Fatalf("in place %d is %s, not %s", i, task.Payload, want)
			}
		}
	}
	newest()
	b.work(time.Second)
	for {
		list, err := b.List()
		if err != nil {
			t.Fatal(err)
		}
		if list.Counts["completed"] == number {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	newest()
}

func TestStopWaitsForRunningTasks(t *testing.T) {
	b := newBench(t)
	stop := b.work(5 * time.Second)
	task := b.add("sleep", `{"seconds":0.5}`)
	b.await(task.ID, "active")
	stop()
	if task, _ = b.Get(task.ID); task.State != "completed" {
		t.Errorf("%+v", task)
	}
}

func TestStopPutsBackWhatDoesNotFinish(t *testing.T) {
	b := newBench(t)
	stop := b.work(100 * time.Millisecond)
	task := b.add("sleep", `{"seconds":60}`)
	b.await(task.ID, "active")
	stop()
	if task, _ = b.Get(task.ID); task.State != "pending" || task.Retried != 0 {
		t.Errorf("%+v", task)
	}
}

// A process that was killed leaves its task as if it were still running.
func TestOrphanIsRunAgain(t *testing.T) {
	b := newBench(t)
	task := b.add("sum", `{"numbers":[4]}`)
	move := redis.NewScript(`
		redis.call("RPOPLPUSH", "asynq:{default}:pending", "asynq:{default}:active")
		redis.call("HSET", "asynq:{default}:t:" .. ARGV[1], "state", "active")
		return redis.call("ZADD", "asynq:{default}:lease", ARGV[2], ARGV[1])`)
	lease := time.Now().Add(30 * time.Second).Unix()
	if err := move.Run(context.Background(), b.connection, nil, task.ID, lease).Err(); err != nil {
		t.Fatal(err)
	}
	b.await(task.ID, "active")
	b.work(time.Second)
	task = b.await(task.ID, "completed")
	if task.Retried != 1 || string(task.Result) != `{"sum":4}` {
		t.Errorf("%+v", task)
	}
}

func TestRedisComesBack(t *testing.T) {
	b := newBench(t)
	stop := b.work(time.Second)
	b.await(b.add("echo", "").ID, "completed")
	b.server.Kill()
	if _, err := b.Add("echo", nil); err == nil {
		t.Error("a task was accepted without Redis")
	}
	if _, err := b.List(); err == nil {
		t.Error("tasks were listed without Redis")
	}
	b.server.Run()
	var task Task
	var err error
	for range 100 {
		if task, err = b.Add("echo", nil); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.await(task.ID, "completed")
	b.server.Kill()
	stop() // Ends without Redis, too.
}

func TestWorkerWaitsForRedis(t *testing.T) {
	b := newBench(t)
	b.server.Kill()
	stop := b.work(time.Second)
	time.Sleep(200 * time.Millisecond)
	b.server.Run()
	b.await(b.add("echo", "").ID, "completed")
	stop()

	b.server.Kill()
	b.work(time.Second)() // It can be stopped while it waits.
}
