package traces

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ErrVariable is wrapped by what Start says of a variable that makes no sense.
var ErrVariable = errors.New("OpenTelemetry")

// Variables that come in two: one for all that OpenTelemetry exports, and one for traces, which beats it.
var (
	endpoint = pair{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
	protocol = pair{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"}
	headers  = pair{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"}
)

const (
	disabled   = "OTEL_SDK_DISABLED"
	exporter   = "OTEL_TRACES_EXPORTER"
	sampler    = "OTEL_TRACES_SAMPLER"
	samplerArg = "OTEL_TRACES_SAMPLER_ARG"
)

// samplers are those that the SDK has.
var samplers = []string{
	"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

type pair struct{ all, traces string }

// get returns the value that counts, and its variable. An empty one counts as none.
func (p pair) get() (name, value string) {
	if value := get(p.traces); value != "" {
		return p.traces, value
	}
	return p.all, get(p.all)
}

func get(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// isAsked reports whether the environment asks for traces. An error matches ErrVariable.
func isAsked() (bool, error) {
	if strings.EqualFold(get(disabled), "true") {
		return false, nil
	}
	_, to := endpoint.get()
	switch get(exporter) {
	case "none":
		return false, nil
	case "otlp":
		return true, check()
	case "":
		if to == "" {
			return false, nil
		}
		return true, check()
	}
	return false, wrong(exporter, "it is neither otlp nor none, which are all there are")
}

// check returns what is wrong with the variables that say how to export.
func check() error {
	if name, value := protocol.get(); value != "" && value != "http/protobuf" && value != "http/json" {
		return wrong(name, "it is neither http/protobuf nor http/json; gRPC is not in this program")
	}
	if name, value := endpoint.get(); value != "" {
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return wrong(name, "it is no URL of http:// or https://")
		}
	}
	if name, value := headers.get(); value != "" {
		for header := range strings.SplitSeq(value, ",") {
			if key, _, found := strings.Cut(header, "="); !found || strings.TrimSpace(key) == "" {
				return wrong(name, "it is no list of name=value with commas between")
			}
		}
	}
	return checkSampler()
}

func checkSampler() error {
	name := strings.ToLower(get(sampler))
	switch {
	case name == "":
		return nil
	case !slices.Contains(samplers, name):
		return wrong(sampler, "it is none of "+strings.Join(samplers, ", "))
	case !strings.HasSuffix(name, "traceidratio"):
		return nil
	}
	if ratio, err := strconv.ParseFloat(cmp.Or(get(samplerArg), "1"), 64); err != nil || !(ratio >= 0 && ratio <= 1) {
		return wrong(samplerArg, "it is no number from 0 to 1")
	}
	return nil
}

func wrong(name, reason string) error { return fmt.Errorf("%w: %s: %s", ErrVariable, name, reason) }
