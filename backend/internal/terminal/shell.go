package terminal

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// The name under which the backend runs itself to become a shell.
const shellName = "appos-terminal"

// BecomeShell turns this process into the shell of a terminal, if it was started as one; main calls it first.
// The shell adopts every process that it leads to, so that a daemon started in a terminal is found when that ends;
// only the process itself can ask for that, and it stays so when it becomes another program.
func BecomeShell() {
	if os.Args[0] != shellName {
		return
	}
	err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	if err == nil {
		err = syscall.Exec("/bin/sh", []string{"sh", "-l"}, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "no shell:", err)
	os.Exit(127)
}

// shell is a command that becomes one, in directory. Nothing of the backend's environment gets into it: secrets are there.
func shell(directory string) *exec.Cmd {
	return &exec.Cmd{
		Path: "/proc/self/exe",
		Args: []string{shellName},
		Dir:  directory,
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=" + directory,
			"TERM=xterm-256color",
			"LANG=C.UTF-8",
		},
	}
}

// exitCode is what a shell would say of a command that ended like this.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
