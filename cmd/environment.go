package cmd

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/transport"
)

// readEnvironment returns the settings of transports, by the transport's name and then
// their own: those of a transport live are PREGON_LIVE_…. It returns an error that names a
// PREGON_… variable that stands for nothing, most likely a typo, and one that it is like.
func readEnvironment(root *kong.Node, environ []string) (map[string]map[string]string, error) {
	flags, settings := map[string]bool{}, map[string]map[string]string{}
	collect(root, flags)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, envPrefix+"_")
		if !ours || flags[name] || isServiceLink(rest, value) {
			continue
		}
		of, setting, found := transportSetting(rest)
		if !found {
			return nil, unknownVariable(name, slices.Sorted(maps.Keys(flags)))
		}
		if settings[of] == nil {
			settings[of] = map[string]string{}
		}
		settings[of][setting] = value
	}
	return settings, nil
}

// unknownVariable is the error about a variable that is none of known.
func unknownVariable(name string, known []string) error {
	var flags []string
	for _, variable := range known {
		flags = append(flags, flagOfVariable(variable))
	}
	if near := nearestName(flagOfVariable(name), flags); near != "" {
		return fmt.Errorf("unknown environment variable %s: did you mean %s_%s?%w",
			name, envPrefix, strings.ToUpper(strings.ReplaceAll(near, "-", "_")), errUsage)
	}
	return fmt.Errorf("unknown environment variable %s: pregon serve --help has those that there are%w", name, errUsage)
}

// flagOfVariable returns the name of the flag that a variable stands for.
func flagOfVariable(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix+"_"), "_", "-"))
}

// serviceLink matches, without PREGON_, what Kubernetes sets in every container of a namespace
// that has a service called pregon or pregon-…. PREGON_PORT is one of them, too.
// https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
var serviceLink = regexp.MustCompile(`^([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isServiceLink reports whether a variable is Kubernetes' and not the user's.
func isServiceLink(variable, value string) bool {
	if variable == "PORT" || strings.HasSuffix(variable, "_PORT") {
		return strings.Contains(value, "://")
	}
	return serviceLink.MatchString(variable)
}

// transportSetting takes apart what stands behind PREGON_ in the name of a variable.
func transportSetting(variable string) (name, setting string, found bool) {
	prefix, rest, _ := strings.Cut(variable, "_")
	for _, name := range transport.Names() {
		if rest != "" && prefix == strings.ToUpper(name) {
			return name, strings.ToLower(strings.ReplaceAll(rest, "_", "-")), true
		}
	}
	return "", "", false
}

func collect(n *kong.Node, known map[string]bool) {
	for _, f := range n.Flags {
		for _, name := range f.Envs {
			known[name] = true
		}
	}
	for _, child := range n.Children {
		collect(child, known)
	}
}
