package convex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Activity is a journal in Convex. It needs the functions activity:add and activity:list; without them it stays empty.
type Activity struct {
	client *Client
	log    *slog.Logger

	mu      sync.Mutex
	trouble string
}

// NewActivity makes the journal of client's deployment.
func NewActivity(client *Client, log *slog.Logger) *Activity {
	return &Activity{client: client, log: log}
}

// A task must not wait for the journal for longer than this.
const patience = time.Second

// Add writes a line. That it cannot is logged when it begins and when it ends, and is no error of the caller's.
func (a *Activity) Add(ctx context.Context, kind, text string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := a.client.Mutation(ctx, "activity:add", map[string]string{"kind": kind, "text": text})
	a.note(err)
}

func (a *Activity) note(err error) {
	trouble := ""
	switch {
	case errors.Is(err, ErrNoFunction):
		trouble = "no deployment"
	case err != nil:
		trouble = "failing"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if trouble == a.trouble {
		return
	}
	a.trouble = trouble
	switch trouble {
	case "":
		a.log.Info("finished tasks are stored in Convex")
	case "no deployment":
		a.log.Info("finished tasks are not stored in Convex: it has no function activity:add")
	default:
		a.log.Warn("finished tasks are not stored in Convex", "reason", err)
	}
}

// List gives the newest lines as Convex has them.
func (a *Activity) List(ctx context.Context, limit int) ([]json.RawMessage, error) {
	value, err := a.client.Query(ctx, "activity:list", map[string]int{"limit": limit})
	if err != nil {
		return nil, err
	}
	lines := []json.RawMessage{}
	if err := json.Unmarshal(value, &lines); err != nil {
		return nil, fmt.Errorf("activity:list gives no list")
	}
	return lines, nil
}
