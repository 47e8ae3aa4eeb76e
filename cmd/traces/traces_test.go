package traces_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/cmd/traces"
	"github.com/pregon/pregon/server/tracing"
)

const patience = 30 * time.Second

// The SDK's connections to a collector end with the collector.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// setenv sets the variables of OpenTelemetry, and no others.
func setenv(t *testing.T, variables ...string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

// Traces are on where the standard variables ask for them, and what makes no sense in these is an error that names
// the variable and not its value.
func TestEnvironment(t *testing.T) {
	const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	for _, c := range []struct {
		variables string
		on        bool
		wrong     string // the variable
	}{
		{"", false, ""},
		{"OTEL_SERVICE_NAME=x OTEL_TRACES_SAMPLER=always_on", false, ""},
		{to, true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://127.0.0.1:1/v1/traces", true, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{"OTEL_TRACES_EXPORTER=none " + to, false, ""},
		{"OTEL_SDK_DISABLED=true " + to, false, ""},
		{"OTEL_SDK_DISABLED=TRUE OTEL_TRACES_EXPORTER=secret", false, ""},
		{"OTEL_SDK_DISABLED=false " + to, true, ""},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:1", false, ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf " + to, true, ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json " + to, true, ""},
		{"OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.01 " + to, true, ""},
		{"OTEL_EXPORTER_OTLP_HEADERS=a=1,b=2 " + to, true, ""},

		{"OTEL_TRACES_EXPORTER=secret", false, "OTEL_TRACES_EXPORTER"},
		{"OTEL_TRACES_EXPORTER=console", false, "OTEL_TRACES_EXPORTER"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc " + to, false, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc " + to, false, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=secret:4318", false, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@h:port", false, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=unix:///secret " + to, false, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_HEADERS=secret " + to, false, "OTEL_EXPORTER_OTLP_HEADERS"},
		{"OTEL_TRACES_SAMPLER=secret " + to, false, "OTEL_TRACES_SAMPLER"},
		{"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=secret " + to, false, "OTEL_TRACES_SAMPLER_ARG"},
		{"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=NaN " + to, false, "OTEL_TRACES_SAMPLER_ARG"},
		{"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=2 " + to, false, "OTEL_TRACES_SAMPLER_ARG"},
		{"OTEL_RESOURCE_ATTRIBUTES=secret " + to, false, "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(c.variables, func(t *testing.T) {
			setenv(t, strings.Fields(c.variables)...)
			tracer, end, err := traces.Start(t.Context(), "v1", slog.New(slog.DiscardHandler))
			if end != nil {
				defer end()
			}
			if (tracer != nil) != c.on || (err != nil) != (c.wrong != "") {
				t.Fatalf("on %v, %v", tracer != nil, err)
			}
			if err != nil && (!errors.Is(err, traces.ErrVariable) || !strings.Contains(err.Error(), c.wrong+":") || strings.Contains(err.Error(), "secret")) {
				t.Error(err)
			}
		})
	}
}

// publish makes the span of a publication.
func publish(tracer *tracing.Tracer) {
	_, ended := tracer.Publishing(context.Background(), []broker.Message{{Channel: "chat", Data: []byte("hola")}})
	ended(make([]broker.Result, 1))
}

// A collector gets the spans, in its own form, with what the environment says of the process.
func TestExport(t *testing.T) {
	got := make(chan *coltrace.ExportTraceServiceRequest, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request := new(coltrace.ExportTraceServiceRequest)
		if err := proto.Unmarshal(body, request); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("X-Key") != "secret" {
			t.Errorf("%s: %v", r.URL, err)
		}
		got <- request
	}))
	defer collector.Close()
	setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=X-Key=secret", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	tracer, end, err := traces.Start(t.Context(), "v1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	publish(tracer)
	end()
	spans := (<-got).ResourceSpans
	if len(spans) != 1 || len(spans[0].ScopeSpans) != 1 || spans[0].ScopeSpans[0].Spans[0].Name != "publish" {
		t.Fatalf("got %v", spans)
	}
	of := map[string]string{}
	for _, a := range spans[0].Resource.Attributes {
		of[a.Key] = a.Value.GetStringValue()
	}
	if of["service.name"] != "pregon" || of["service.version"] != "v1.2.3" || of["service.instance.id"] == "" || of["deployment.environment.name"] != "test" {
		t.Errorf("the process is %v", of)
	}
}

// A collector that is away, or takes and never answers, makes nobody wait: neither spans, of which there are more than
// the queue has room for, nor, for long, the end. What is wrong is said once.
func TestCollectorIsAway(t *testing.T) {
	others := goleak.IgnoreCurrent()
	t.Cleanup(func() { // what was given up is still on its way out
		for end := time.Now().Add(patience); goleak.Find(others) != nil && time.Now().Before(end); {
		}
	})
	ended := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	defer silent.Close()
	defer close(ended)
	for name, url := range map[string]string{"away": "http://127.0.0.1:1", "silent": silent.URL} {
		t.Run(name, func(t *testing.T) {
			setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+url)
			var log bytes.Buffer
			tracer, end, err := traces.Start(t.Context(), "v1", slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 10_000 {
					publish(tracer)
				}
				end()
			}()
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatal("they wait")
			}
			if lines := strings.Count(log.String(), "\n"); lines > 1 || name == "away" && lines != 1 {
				t.Errorf("%d lines were logged:\n%s", lines, &log)
			}
		})
	}
}

// That a collector is back is said, too.
func TestCollectorComesBack(t *testing.T) {
	fails := true
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if fails {
			w.WriteHeader(http.StatusBadRequest)
		}
		fails = false
	}))
	defer collector.Close()
	setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1", "OTEL_BSP_SCHEDULE_DELAY=1")
	var log bytes.Buffer
	tracer, end, err := traces.Start(t.Context(), "v1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		publish(tracer)
	}
	end()
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "cannot be exported") || !strings.Contains(text, "exported again") {
		t.Error(fmt.Sprint("logged:\n", text))
	}
}
