// Package health asks everything that the backend depends on, all at once, and says what answers.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Probe asks one dependency. The version is empty where there is none to tell.
type Probe func(context.Context) (version string, err error)

// Result is what one probe found.
type Result struct {
	OK        bool    `json:"ok"`
	LatencyMS float64 `json:"latency_ms"`
	Version   string  `json:"version,omitempty"`
	Error     string  `json:"error,omitempty"`
}

// Report is what all probes of one round found.
type Report struct {
	Status string            `json:"status"` // ok or degraded
	Checks map[string]Result `json:"checks"`
}

// OK says whether everything answered.
func (r Report) OK() bool { return r.Status == "ok" }

// Checker runs the probes in rounds; requests that come during a round share it, so that many cost no more than one.
type Checker struct {
	limit  time.Duration
	checks []*check

	mu    sync.Mutex
	round *round
}

type round struct {
	done   chan struct{}
	report Report
}

// New makes a Checker that gives each probe as much time as limit.
func New(log *slog.Logger, limit time.Duration, probes map[string]Probe) *Checker {
	c := &Checker{limit: limit}
	for name, probe := range probes {
		c.checks = append(c.checks, &check{name: name, probe: probe, log: log})
	}
	return c
}

// Check joins the round under way, or starts one.
func (c *Checker) Check() Report {
	c.mu.Lock()
	r := c.round
	if r == nil {
		r = &round{done: make(chan struct{})}
		c.round = r
		go c.run(r)
	}
	c.mu.Unlock()
	<-r.done
	return r.report
}

func (c *Checker) run(r *round) {
	results := make([]Result, len(c.checks))
	var wg sync.WaitGroup
	for i, check := range c.checks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			results[i] = check.run(c.limit)
		}()
	}
	wg.Wait()

	r.report = Report{Status: "ok", Checks: make(map[string]Result)}
	for i, check := range c.checks {
		r.report.Checks[check.name] = results[i]
		if !results[i].OK {
			r.report.Status = "degraded"
		}
		check.note(results[i])
	}
	c.mu.Lock()
	c.round = nil
	c.mu.Unlock()
	close(r.done)
}

// check is one dependency. Its probe may hang for longer than any limit (a disk does not know of deadlines), hence busy.
type check struct {
	name  string
	probe Probe
	log   *slog.Logger
	busy  atomic.Bool

	failing bool // touched by one round at a time
}

func (c *check) run(limit time.Duration) Result {
	if !c.busy.CompareAndSwap(false, true) {
		return Result{Error: "an earlier question is still without an answer"}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	answer := make(chan Result, 1)
	go func() {
		version, err := c.probe(ctx)
		result := Result{OK: err == nil, Version: version}
		if err != nil {
			result.Error = err.Error()
		}
		// Before the answer, or the next question comes too early.
		c.busy.Store(false)
		answer <- result
	}()

	var result Result
	select {
	case result = <-answer:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		result = Result{Error: fmt.Sprintf("no answer within %s", limit)}
	}
	result.LatencyMS = milliseconds(time.Since(start))
	return result
}

// note logs changes only: a health check comes every second or two.
func (c *check) note(r Result) {
	switch {
	case !r.OK && !c.failing:
		c.log.Warn("does not answer", "dependency", c.name, "reason", r.Error)
	case r.OK && c.failing:
		c.log.Info("answers again", "dependency", c.name)
	}
	c.failing = !r.OK
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*1000) / 1000
}
