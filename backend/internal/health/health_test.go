package health

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func answers(version string) Probe {
	return func(context.Context) (string, error) { return version, nil }
}

func fails(reason string) Probe {
	return func(context.Context) (string, error) { return "", errors.New(reason) }
}

func hangs(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)) }

func TestOK(t *testing.T) {
	report := New(quiet(), time.Second, map[string]Probe{"a": answers("1.2"), "b": answers("")}).Check()
	if !report.OK() || !report.Checks["a"].OK || report.Checks["a"].Version != "1.2" || !report.Checks["b"].OK {
		t.Errorf("%+v", report)
	}
}

func TestDegraded(t *testing.T) {
	report := New(quiet(), time.Second, map[string]Probe{"a": answers(""), "b": fails("refused")}).Check()
	if report.OK() || report.Status != "degraded" || !report.Checks["a"].OK || report.Checks["b"].Error != "refused" {
		t.Errorf("%+v", report)
	}
}

// Each probe waits for the other to have begun, which only works when they run at once.
func TestParallel(t *testing.T) {
	var begun sync.WaitGroup
	begun.Add(2)
	meet := func(context.Context) (string, error) {
		begun.Done()
		begun.Wait()
		return "", nil
	}
	if report := New(quiet(), 5*time.Second, map[string]Probe{"a": meet, "b": meet}).Check(); !report.OK() {
		t.Errorf("%+v", report)
	}
}

func TestSlowOneDoesNotHarmOthers(t *testing.T) {
	report := New(quiet(), 300*time.Millisecond, map[string]Probe{"slow": hangs, "fast": answers("")}).Check()
	slow, fast := report.Checks["slow"], report.Checks["fast"]
	if slow.OK || slow.Error != "no answer within 300ms" || slow.LatencyMS < 300 || !fast.OK || fast.LatencyMS >= slow.LatencyMS {
		t.Errorf("%+v", report)
	}
}

// A probe that heeds no limit, as a disk, is left alone until it comes back, and is not asked again meanwhile.
func TestDeafProbe(t *testing.T) {
	wake := make(chan struct{})
	var asked atomic.Int32
	checker := New(quiet(), 20*time.Millisecond, map[string]Probe{"deaf": func(context.Context) (string, error) {
		asked.Add(1)
		<-wake
		return "", nil
	}})
	checker.Check()
	report := checker.Check()
	if asked.Load() != 1 || report.Checks["deaf"].Error != "an earlier question is still without an answer" {
		t.Errorf("asked %d times; %+v", asked.Load(), report)
	}
	close(wake)
	for !checker.Check().OK() {
		time.Sleep(time.Millisecond)
	}
}

// One question after the other, from many: what has answered is not busy any more.
func TestNeverBusyAfterItsAnswer(t *testing.T) {
	checker := New(quiet(), 5*time.Second, map[string]Probe{"a": answers(""), "b": answers("")})
	var all sync.WaitGroup
	for range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 2000 {
				if report := checker.Check(); !report.OK() {
					t.Errorf("%+v", report)
					return
				}
			}
		}()
	}
	all.Wait()
}

func TestOneRoundForMany(t *testing.T) {
	var asked atomic.Int32
	wake := make(chan struct{})
	checker := New(quiet(), 5*time.Second, map[string]Probe{"a": func(context.Context) (string, error) {
		asked.Add(1)
		<-wake
		return "", nil
	}})
	var all sync.WaitGroup
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			checker.Check()
		}()
	}
	time.Sleep(20 * time.Millisecond)
	close(wake)
	all.Wait()
	// Whoever came late had a second round.
	if n := asked.Load(); n > 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestChangesAreLogged(t *testing.T) {
	var log bytes.Buffer
	var down atomic.Bool
	checker := New(slog.New(slog.NewTextHandler(&log, nil)), time.Second, map[string]Probe{"redis": func(context.Context) (string, error) {
		if down.Load() {
			return "", errors.New("refused")
		}
		return "", nil
	}})
	for _, state := range []bool{false, true, true, true, false, false} {
		down.Store(state)
		checker.Check()
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "does not answer") || !strings.Contains(text, "answers again") {
		t.Errorf("%s", text)
	}
}
