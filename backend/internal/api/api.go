// Package api is the backend's HTTP interface.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"appos/backend/internal/convex"
	"appos/backend/internal/health"
	"appos/backend/internal/services"
	"appos/backend/internal/settings"
	"appos/backend/internal/tasks"
	"appos/backend/internal/terminal"
	"appos/backend/internal/web"
)

// Parts are what the interface is to.
type Parts struct {
	Health       *health.Checker
	ServicesFile string
	Tasks        *tasks.Queue
	Settings     *settings.Store
	Activity     *convex.Activity
	Terminal     *terminal.Terminal
	Log          *slog.Logger
}

const (
	longestBody   = 256 << 10
	activityLines = 50
)

type api struct{ Parts }

// New makes the handler of everything.
func New(parts Parts) http.Handler {
	a := api{parts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", a.health)
	mux.HandleFunc("GET /api/services", a.services)
	mux.HandleFunc("GET /api/tasks", a.listTasks)
	mux.HandleFunc("POST /api/tasks", a.addTask)
	mux.HandleFunc("GET /api/tasks/{id}", a.getTask)
	mux.HandleFunc("GET /api/activity", a.activity)
	mux.HandleFunc("GET /api/settings", a.listSettings)
	mux.HandleFunc("PUT /api/settings/{key}", a.putSetting)
	mux.HandleFunc("DELETE /api/settings/{key}", a.deleteSetting)
	mux.HandleFunc("GET /api/terminal", a.terminal)
	mux.Handle("GET /terminal", parts.Terminal)
	return a.guarded(a.routed(mux))
}

// guarded is around every request.
func (a api) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if fault := recover(); fault != nil {
				a.Log.Error("a request made it panic", "method", r.Method, "path", r.URL.Path,
					"fault", fault, "stack", string(debug.Stack()))
				web.Refuse(w, http.StatusInternalServerError, "internal error")
			}
		}()
		a.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "address", web.RemoteAddress(r))
		// A page from elsewhere may make a browser send a request, but must not change anything by it.
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !web.SameOrigin(r) {
			web.Refuse(w, http.StatusForbidden, "the page that asks is not from here")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, longestBody)
		next.ServeHTTP(w, r)
	})
}

// routed answers in JSON, too, where the multiplexer has only a plain text: no such path, or not with this method.
func (a api) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		plain := statusOnly{header: w.Header()}
		handler.ServeHTTP(&plain, r)
		reason := "there is nothing at " + r.URL.Path
		if plain.status == http.StatusMethodNotAllowed {
			reason = fmt.Sprintf("%s is not possible here, only %s", r.Method, w.Header().Get("Allow"))
		}
		web.Refuse(w, plain.status, reason)
	})
}

// statusOnly keeps the header and the status of an answer, not its body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header            { return s.header }
func (s *statusOnly) WriteHeader(status int)         { s.status = status }
func (s *statusOnly) Write(text []byte) (int, error) { return len(text), nil }

func (a api) health(w http.ResponseWriter, _ *http.Request) {
	report := a.Health.Check()
	status := http.StatusOK
	if !report.OK() {
		status = http.StatusServiceUnavailable
	}
	web.Answer(w, status, report)
}

func (a api) services(w http.ResponseWriter, _ *http.Request) {
	list, err := services.Read(a.ServicesFile, time.Now())
	if err != nil {
		a.fail(w, err)
		return
	}
	web.Answer(w, http.StatusOK, map[string]any{"services": list})
}

func (a api) listTasks(w http.ResponseWriter, _ *http.Request) {
	list, err := a.Tasks.List()
	if err != nil {
		a.fail(w, err)
		return
	}
	web.Answer(w, http.StatusOK, list)
}

func (a api) addTask(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	if !read(w, r, &wanted) {
		return
	}
	task, err := a.Tasks.Add(wanted.Type, wanted.Payload)
	if err != nil {
		a.fail(w, err)
		return
	}
	w.Header().Set("Location", "/api/tasks/"+task.ID)
	web.Answer(w, http.StatusAccepted, task)
}

func (a api) getTask(w http.ResponseWriter, r *http.Request) {
	task, err := a.Tasks.Get(r.PathValue("id"))
	if err != nil {
		a.fail(w, err)
		return
	}
	web.Answer(w, http.StatusOK, task)
}

func (a api) activity(w http.ResponseWriter, r *http.Request) {
	lines, err := a.Activity.List(r.Context(), activityLines)
	switch {
	case errors.Is(err, convex.ErrNoFunction):
		web.Answer(w, http.StatusOK, map[string]any{"activity": []any{}, "note": "no deployment in Convex has activity:list"})
	case err != nil:
		web.Refuse(w, http.StatusBadGateway, "Convex: "+err.Error())
	default:
		web.Answer(w, http.StatusOK, map[string]any{"activity": lines})
	}
}

func (a api) listSettings(w http.ResponseWriter, r *http.Request) {
	list, err := a.Settings.List(r.Context())
	if err != nil {
		a.fail(w, err)
		return
	}
	web.Answer(w, http.StatusOK, map[string]any{"settings": list})
}

func (a api) putSetting(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Value *string `json:"value"`
	}
	if !read(w, r, &wanted) {
		return
	}
	if wanted.Value == nil {
		web.Refuse(w, http.StatusBadRequest, "value is missing")
		return
	}
	setting, err := a.Settings.Put(r.Context(), r.PathValue("key"), *wanted.Value)
	if err != nil {
		a.fail(w, err)
		return
	}
	web.Answer(w, http.StatusOK, setting)
}

func (a api) deleteSetting(w http.ResponseWriter, r *http.Request) {
	if err := a.Settings.Delete(r.Context(), r.PathValue("key")); err != nil {
		a.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a api) terminal(w http.ResponseWriter, _ *http.Request) {
	web.Answer(w, http.StatusOK, a.Terminal.Status())
}

// read takes the body, one JSON object and nothing else; what is wrong with it has been answered when it says false.
func read(w http.ResponseWriter, r *http.Request, target any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(target)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return true
		}
		err = errors.New("something follows the object")
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		web.Refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooLong.Limit))
	} else {
		web.Refuse(w, http.StatusBadRequest, "the body is not the JSON that is expected: "+err.Error())
	}
	return false
}

// fail answers an error by whose it is: the client's, or that of something the backend depends on.
func (a api) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, tasks.ErrInvalid), errors.Is(err, settings.ErrInvalid):
		web.Refuse(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, tasks.ErrNotFound), errors.Is(err, settings.ErrNotFound):
		web.Refuse(w, http.StatusNotFound, err.Error())
	default:
		a.Log.Debug("unavailable", "reason", err)
		web.Refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}
