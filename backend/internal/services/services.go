// Package services reads what supervisord last said of each service: a file of lines `NAME STATE SINCE`.
package services

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Service is one program of supervisord's.
type Service struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Seconds int64     `json:"seconds"`
}

// http://supervisord.org/subprocess.html#process-states
var states = []string{"STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"}

// Read gives the services in the order of the file.
func Read(path string, now time.Time) ([]Service, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: nobody says what the services do", path)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	services, err := parse(file, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return services, nil
}

func parse(r io.Reader, now time.Time) ([]Service, error) {
	services := []Service{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || !slices.Contains(states, fields[1]) {
			return nil, fmt.Errorf("line %d is not `NAME STATE SINCE`", number)
		}
		since, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is not a time in seconds", number, fields[2])
		}
		services = append(services, Service{
			Name:  fields[0],
			State: fields[1],
			Since: time.Unix(since, 0).UTC(),
			// The clock may have been set back since.
			Seconds: max(0, now.Unix()-since),
		})
	}
	return services, lines.Err()
}
