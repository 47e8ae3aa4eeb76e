package handover

import (
	"os"
	"strconv"
)

// The variables that say which sockets a process is given.
const (
	envDescriptors = "LISTEN_FDS"
	envNames       = "LISTEN_FDNAMES"
	envPID         = "LISTEN_PID"
	envPIDFDID     = "LISTEN_PIDFDID" // of systemd 258 and later, beside LISTEN_PID
	envParent      = "HANDOVER_PARENT"
	envReady       = "HANDOVER_READY"
)

// An environment is what the variables say.
type environment struct{ descriptors, names, pid, parent, ready string }

// takeEnvironment reads the variables and unsets them: they are for this process alone.
func takeEnvironment() environment {
	e := environment{
		os.Getenv(envDescriptors), os.Getenv(envNames), os.Getenv(envPID), os.Getenv(envParent), os.Getenv(envReady),
	}
	for _, name := range []string{envDescriptors, envNames, envPID, envPIDFDID, envParent, envReady} {
		_ = os.Unsetenv(name) // which fails for a bad name only
	}
	return e
}

// ours reports whether it is meant for this process.
func (e environment) ours() bool {
	if e.descriptors == "" {
		return false
	}
	return e.pid == strconv.Itoa(os.Getpid()) || e.parent != "" && e.parent == strconv.Itoa(os.Getppid())
}
