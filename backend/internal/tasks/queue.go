// Package tasks runs work in the background, through Asynq: Redis has the tasks, so they outlive this process.
package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ErrNotFound says that there is no task with this identifier, or not any more.
var ErrNotFound = errors.New("no such task")

const (
	queue = "default"
	// How long a finished task can be looked at.
	retention = 24 * time.Hour
	// How many tasks a list has at most.
	longestList = 100
)

// Task is what anybody may know of a task. What it does not have yet is null.
type Task struct {
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	State         string          `json:"state"` // pending, active, retry, completed or archived
	Payload       json.RawMessage `json:"payload"`
	Result        json.RawMessage `json:"result"`
	Error         *string         `json:"error"` // of the last attempt that failed
	Retried       int             `json:"retried"`
	MaxRetry      int             `json:"max_retry"`
	CreatedAt     *time.Time      `json:"created_at"`
	NextAttemptAt *time.Time      `json:"next_attempt_at"`
	FailedAt      *time.Time      `json:"failed_at"`
	CompletedAt   *time.Time      `json:"completed_at"`
}

// List is the newest tasks, and how many there are of each state.
type List struct {
	Tasks  []Task         `json:"tasks"`
	Counts map[string]int `json:"counts"`
}

// Queue takes tasks in and tells of them.
type Queue struct {
	client    *asynq.Client
	inspector *asynq.Inspector
}

// NewQueue uses a connection that stays the caller's to close.
func NewQueue(connection redis.UniversalClient) *Queue {
	return &Queue{asynq.NewClientFromRedisClient(connection), asynq.NewInspectorFromRedisClient(connection)}
}

// Add validates a task and enqueues it. When Add returns, Redis has it.
func (q *Queue) Add(kindName string, payload json.RawMessage) (Task, error) {
	kind, known := kinds[kindName]
	if !known {
		return Task{}, fmt.Errorf("%w: type must be one of echo, fail, sleep, sum", ErrInvalid)
	}
	if len(payload) == 0 {
		payload = json.RawMessage("{}")
	}
	if _, err := kind.parse(payload); err != nil {
		return Task{}, err
	}
	// Asynq does not keep the time of arrival; this identifier begins with it.
	id, err := uuid.NewV7()
	if err != nil {
		return Task{}, err
	}
	info, err := q.client.Enqueue(
		asynq.NewTask(kindName, payload),
		asynq.TaskID(id.String()),
		asynq.Queue(queue),
		asynq.MaxRetry(kind.maxRetry),
		asynq.Timeout(timeout),
		asynq.Retention(retention),
	)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		// Nobody else makes this identifier: an attempt whose answer was lost has enqueued the task.
		return q.Get(id.String())
	}
	if err != nil {
		return Task{}, err
	}
	return describe(info), nil
}

// Get finds a task.
func (q *Queue) Get(id string) (Task, error) {
	info, err := q.inspector.GetTaskInfo(queue, id)
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return Task{}, ErrNotFound
	}
	if err != nil {
		return Task{}, err
	}
	return describe(info), nil
}

// List gives the newest tasks, newest first.
func (q *Queue) List() (List, error) {
	list := List{Tasks: []Task{}, Counts: map[string]int{}}
	queues, err := q.inspector.Queues()
	if err != nil {
		return List{}, err
	}
	if !slices.Contains(queues, queue) { // Nothing was ever enqueued.
		return list, nil
	}
	info, err := q.inspector.GetQueueInfo(queue)
	if err != nil {
		return List{}, err
	}
	states := []struct {
		name string
		size int
		list func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)
	}{
		{"pending", info.Pending, q.inspector.ListPendingTasks},
		{"active", info.Active, q.inspector.ListActiveTasks},
		{"retry", info.Retry, q.inspector.ListRetryTasks},
		{"completed", info.Completed, q.inspector.ListCompletedTasks},
		{"archived", info.Archived, q.inspector.ListArchivedTasks},
	}
	seen := map[string]bool{}
	for _, state := range states {
		list.Counts[state.name] = state.size
		// The oldest come first, in pages; the newest are on the last two.
		last := max(1, (state.size+longestList-1)/longestList)
		for page := max(1, last-1); page <= last; page++ {
			infos, err := state.list(queue, asynq.PageSize(longestList), asynq.Page(page))
			if err != nil {
				return List{}, err
			}
			for _, info := range infos {
				// A task that changes its state meanwhile is met twice; what it was first is as true as what it is now.
				if !seen[info.ID] {
					seen[info.ID] = true
					list.Tasks = append(list.Tasks, describe(info))
				}
			}
		}
	}
	slices.SortFunc(list.Tasks, func(a, b Task) int { return strings.Compare(b.ID, a.ID) })
	list.Tasks = list.Tasks[:min(len(list.Tasks), longestList)]
	return list, nil
}

func describe(info *asynq.TaskInfo) Task {
	task := Task{
		ID:          info.ID,
		Type:        info.Type,
		State:       info.State.String(),
		Payload:     info.Payload,
		Result:      info.Result,
		Error:       given(info.LastErr),
		Retried:     info.Retried,
		MaxRetry:    info.MaxRetry,
		FailedAt:    given(info.LastFailedAt.UTC()),
		CompletedAt: given(info.CompletedAt.UTC()),
	}
	if info.State == asynq.TaskStateRetry {
		task.NextAttemptAt = given(info.NextProcessAt.UTC())
	}
	if id, err := uuid.Parse(info.ID); err == nil && id.Version() == 7 {
		milliseconds := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
		task.CreatedAt = given(time.UnixMilli(milliseconds).UTC())
	}
	return task
}

// given is nil for what Asynq leaves empty.
func given[T comparable](value T) *T {
	var empty T
	if value == empty {
		return nil
	}
	return &value
}
