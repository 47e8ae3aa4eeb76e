package transport

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Maker makes the Transport of one server. It starts nothing: what runs belongs to
// connections, and Wait waits for it. An error says which setting makes no sense.
type Maker func(Deps) (Transport, error)

var registry = struct {
	sync.RWMutex
	makers map[string]Maker
}{makers: map[string]Maker{}}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// ErrName means that a name cannot be a Transport's: it is its route, and so has letters
// a to z and A to Z only.
var ErrName = errors.New("transport: a name that is not of letters only")

// CheckName returns ErrName unless name can be a Transport's.
func CheckName(name string) error {
	if name == "" || strings.Trim(name, letters) != "" {
		return ErrName
	}
	return nil
}

// Register makes a protocol known under a name for which CheckName has no error, and
// which the server does not have for itself, such as history, which server.New refuses.
// It panics where the name is anything else or taken: a mistake in the program's imports.
func Register(name string, make Maker) {
	registry.Lock()
	defer registry.Unlock()
	if make == nil {
		panic("transport: Register without a function")
	}
	if CheckName(name) != nil {
		panic("transport: Register of a name that is not of letters only: " + strconv.Quote(name))
	}
	if _, taken := registry.makers[name]; taken {
		panic("transport: Register called twice for " + name)
	}
	registry.makers[name] = make
}

// Names returns the registered protocols in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(Registered())) }

// Registered returns the Maker of each registered protocol, by name.
func Registered() map[string]Maker {
	registry.RLock()
	defer registry.RUnlock()
	return maps.Clone(registry.makers)
}
