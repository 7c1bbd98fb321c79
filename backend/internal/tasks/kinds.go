package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// ErrInvalid is the kind of every error that is the caller's.
var ErrInvalid = errors.New("not a task")

// kind is one type of task: what its payload must be, and what is done with it. A new one is a row of kinds.
type kind struct {
	maxRetry int
	parse    func(payload []byte) (work, error)
}

// work is a task ready to run; its result becomes JSON.
type work func(ctx context.Context) (result any, err error)

var kinds = map[string]kind{
	"echo":  {maxRetry: 3, parse: parseEcho},
	"sleep": {maxRetry: 3, parse: parseSleep},
	"sum":   {maxRetry: 3, parse: parseSum},
	"fail":  {maxRetry: 2, parse: parseFail},
}

const (
	longestSleep = 60
	mostNumbers  = 1000
	// No task takes as long as this; one that hangs is taken for failed.
	timeout = 2 * time.Minute
)

// echo gives its payload back.
func parseEcho(payload []byte) (work, error) {
	var object map[string]any
	if err := decode(payload, &object); err != nil {
		return nil, err
	}
	return func(context.Context) (any, error) { return json.RawMessage(payload), nil }, nil
}

// sleep takes its time.
func parseSleep(payload []byte) (work, error) {
	var p struct {
		Seconds *float64 `json:"seconds"`
	}
	if err := decode(payload, &p); err != nil {
		return nil, err
	}
	if p.Seconds == nil || *p.Seconds < 0 || *p.Seconds > longestSleep {
		return nil, fmt.Errorf("%w: sleep needs seconds, from 0 to %d", ErrInvalid, longestSleep)
	}
	return func(ctx context.Context) (any, error) {
		timer := time.NewTimer(time.Duration(*p.Seconds * float64(time.Second)))
		defer timer.Stop()
		select {
		case <-timer.C:
			return map[string]float64{"slept": *p.Seconds}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil
}

// sum adds up.
func parseSum(payload []byte) (work, error) {
	var p struct {
		Numbers []float64 `json:"numbers"`
	}
	if err := decode(payload, &p); err != nil {
		return nil, err
	}
	if len(p.Numbers) == 0 || len(p.Numbers) > mostNumbers {
		return nil, fmt.Errorf("%w: sum needs numbers, 1 to %d of them", ErrInvalid, mostNumbers)
	}
	sum := 0.0
	for _, n := range p.Numbers {
		sum += n
	}
	if math.IsInf(sum, 0) {
		return nil, fmt.Errorf("%w: the sum is too large", ErrInvalid)
	}
	return func(context.Context) (any, error) { return map[string]float64{"sum": sum}, nil }, nil
}

// fail shows what happens to a task that fails each time.
func parseFail(payload []byte) (work, error) {
	var p struct{}
	if err := decode(payload, &p); err != nil {
		return nil, err
	}
	return func(context.Context) (any, error) { return nil, errors.New("fails, as it was asked to") }, nil
}

// decode takes one JSON object with no field that target does not know.
func decode(payload []byte, target any) error {
	if bytes.Equal(payload, []byte("null")) {
		return fmt.Errorf("%w: the payload must be an object", ErrInvalid)
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return fmt.Errorf("%w: payload: %w", ErrInvalid, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("%w: the payload must be one object", ErrInvalid)
	}
	return nil
}
