package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestResults(t *testing.T) {
	for _, c := range []struct{ kind, payload, result string }{
		{"echo", `{"a":[1,"ä"]}`, `{"a":[1,"ä"]}`},
		{"echo", `{}`, `{}`},
		{"sum", `{"numbers":[1,2.5,-3]}`, `{"sum":0.5}`},
		{"sleep", `{"seconds":0}`, `{"slept":0}`},
		{"sleep", `{"seconds":0.01}`, `{"slept":0.01}`},
	} {
		work, err := kinds[c.kind].parse([]byte(c.payload))
		if err != nil {
			t.Errorf("%s %s: %v", c.kind, c.payload, err)
			continue
		}
		result, err := work(context.Background())
		text, _ := json.Marshal(result)
		if err != nil || string(text) != c.result {
			t.Errorf("%s %s: %s, %v", c.kind, c.payload, text, err)
		}
	}
}

func TestInvalidPayloads(t *testing.T) {
	for kind, payloads := range map[string][]string{
		"echo":  {`null`, `[]`, `"text"`, `1`, `{`, `{} {}`},
		"sleep": {`{}`, `{"seconds":-1}`, `{"seconds":61}`, `{"seconds":"1"}`, `{"seconds":1,"more":1}`, `null`},
		"sum":   {`{}`, `{"numbers":[]}`, `{"numbers":["1"]}`, `{"numbers":[1e308,1e308]}`, `{"numbers":[1` + strings.Repeat(",1", 1000) + `]}`},
		"fail":  {`{"how":"badly"}`, `[]`},
	} {
		for _, payload := range payloads {
			if _, err := kinds[kind].parse([]byte(payload)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s %.40s: %v", kind, payload, err)
			}
		}
	}
}

func TestSleepCanBeEnded(t *testing.T) {
	work, err := parseSleep([]byte(`{"seconds":60}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := work(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestDelay(t *testing.T) {
	for retried, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 6: time.Minute, 1000: time.Minute} {
		if got := delay(retried); got != want {
			t.Errorf("after %d retries: %s", retried, got)
		}
	}
}
