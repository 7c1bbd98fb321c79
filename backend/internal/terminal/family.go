package terminal

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// family is every process that came out of a shell: its session and its descendants. One that leaves both is found as long
// as the shell lives, which adopts it; after `exit` it is on its own, as with any terminal.
// Processes are told by number and start, since numbers are used again.
type family struct {
	shell   int
	members map[int]string // number to start
}

// newFamily begins with a shell that has just been started.
func newFamily(shell int) *family {
	return &family{shell: shell, members: map[int]string{shell: processes()[shell].start}}
}

// end hangs up on the family, then kills what is left of it.
func (f *family) end() {
	f.signal(syscall.SIGHUP)
	f.signal(syscall.SIGCONT) // What is stopped would not notice.
	f.waitUntilGone(300 * time.Millisecond)
	deadline := time.Now().Add(2 * time.Second)
	for f.look() > 0 && time.Now().Before(deadline) {
		f.signal(syscall.SIGKILL)
		time.Sleep(5 * time.Millisecond)
	}
}

func (f *family) waitUntilGone(limit time.Duration) {
	deadline := time.Now().Add(limit)
	for f.look() > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
}

func (f *family) signal(signal syscall.Signal) {
	f.look()
	for number := range f.members {
		_ = syscall.Kill(number, signal) // It may have gone by itself.
	}
}

// look brings the members up to date and says how many there are.
func (f *family) look() int {
	alive := processes()
	for number, start := range f.members {
		if p, ok := alive[number]; !ok || p.start != start {
			delete(f.members, number)
		}
	}
	for grown := true; grown; {
		grown = false
		for number, p := range alive {
			_, known := f.members[number]
			_, child := f.members[p.parent]
			if !known && (child || p.session == f.shell) {
				f.members[number] = p.start
				grown = true
			}
		}
	}
	return len(f.members)
}

type process struct {
	parent, session int
	start           string
}

// processes are all that live, by number.
func processes() map[int]process {
	found := make(map[int]process)
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // It went meanwhile.
			continue
		}
		// The second field, a name in brackets, may have anything in it. See proc_pid_stat(5); the third is the first here.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		session, _ := strconv.Atoi(fields[3])
		found[number] = process{parent: parent, session: session, start: fields[19]}
	}
	return found
}
