// Package deploy_test holds what is in this folder to be true: it is parsed, and run where the program is
// in Debian.
package deploy_test

import (
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/cmd"

	_ "github.com/pregon/pregon/broker/memory"
	_ "github.com/pregon/pregon/broker/redis"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "20"); err != nil { // the tests mostly wait
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// help is what pregon serve --help prints.
func help(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	if code := cmd.Run(context.Background(), []string{"serve", "--help"}, nil, &out, io.Discard); code != 0 {
		t.Fatal("exit", code)
	}
	return out.String()
}

var flagOrVariable = regexp.MustCompile(`--[a-z][a-z-]+|PREGON_[A-Z_]+`)

// Every flag and every variable of pregon's that a file of this folder names is one that there is.
func TestFlagsExist(t *testing.T) {
	known := map[string]bool{}
	for _, word := range flagOrVariable.FindAllString(help(t), -1) {
		known[word] = true
	}
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".go") || strings.HasSuffix(file, ".md") || strings.HasSuffix(file, ".sh") {
			continue
		}
		for _, line := range strings.Split(text(t, file), "\n") {
			if strings.Contains(line, "redis-server") || strings.Contains(line, "pregon doctor") || strings.Contains(line, "docker") || strings.Contains(line, "kubectl") || strings.Contains(line, "HEALTHCHECK") || strings.HasPrefix(line, "COPY") {
				continue // flags of others
			}
			for _, word := range flagOrVariable.FindAllString(line, -1) {
				if word != "PREGON_KEY" && word != "PREGON_SERVICE_HOST" && !known[word] { // Compose's, and Kubernetes'
					t.Errorf("%s: there is no %s", file, word)
				}
			}
		}
	}
}

// parse reads the documents of a YAML file.
func parse(t *testing.T, file string) (documents []map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text(t, file)))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if err == io.EOF {
			return documents
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		documents = append(documents, document)
	}
}

// at returns what a document has at a path.
func at(t *testing.T, document any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch in := document.(type) {
		case map[string]any:
			document = in[step.(string)]
		case []any:
			document = in[step.(int)]
		default:
			t.Fatalf("there is nothing at %v", path)
		}
	}
	return document
}

// What is composed keeps what it has acknowledged, is for this machine alone, and starts protected.
func TestCompose(t *testing.T) {
	services := at(t, parse(t, "compose.yaml")[0], "services")
	for _, node := range []string{"pregon-1", "pregon-2"} {
		environment := at(t, services, node, "environment").(map[string]any)
		if key, _ := environment["PREGON_PUBLISH_KEY"].(string); !strings.HasPrefix(key, "${PREGON_KEY:?") {
			t.Errorf("%s starts without a key: %q", node, key)
		}
		if at(t, services, node, "read_only") != true {
			t.Errorf("%s may write", node)
		}
	}
	command := at(t, services, "redis", "command").([]any)
	if words := strings.Join(strings.Fields(strings.Trim(strings.ReplaceAll(yamlText(command), "\n", " "), "- ")), " "); !strings.Contains(words, "appendonly") || !strings.Contains(words, "always") {
		t.Errorf("Redis keeps nothing: %s", words)
	}
	if volumes := at(t, services, "redis", "volumes").([]any); volumes[0] != "redis:/data" {
		t.Errorf("Redis' volumes are %v", volumes)
	}
	for _, service := range []string{"redis", "proxy"} {
		if port := at(t, services, service, "ports", 0).(string); !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s is open to others: %s", service, port)
		}
	}
}

func yamlText(v any) string {
	out, _ := yaml.Marshal(v)
	return string(out)
}

// A pod has more time to end than its server takes, may do nothing, and is asked whether it is ready.
func TestKubernetes(t *testing.T) {
	documents := parse(t, "kubernetes.yaml")
	kinds := map[any]map[string]any{}
	for _, d := range documents {
		kinds[d["kind"]] = d
	}
	pod := at(t, kinds["Deployment"], "spec", "template", "spec")
	container := at(t, pod, "containers", 0)
	var drains time.Duration
	for _, arg := range at(t, container, "args").([]any) {
		if _, value, ok := strings.Cut(arg.(string), "--drain-"); ok {
			_, value, _ = strings.Cut(value, "=")
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Error(err)
			}
			drains += d
		}
	}
	if grace := at(t, pod, "terminationGracePeriodSeconds").(int); time.Duration(grace)*time.Second < drains+5*time.Second {
		t.Errorf("a pod has %d s to end, and drains for %v", grace, drains)
	}
	if at(t, pod, "enableServiceLinks") != false || at(t, container, "securityContext", "readOnlyRootFilesystem") != true {
		t.Error("the pod is not as it should be")
	}
	if at(t, container, "readinessProbe", "httpGet", "path") != "/readyz" || at(t, container, "livenessProbe", "httpGet", "path") != "/healthz" {
		t.Error("the pod is asked for something else")
	}
	if kinds["Service"] == nil || kinds["PodDisruptionBudget"] == nil {
		t.Errorf("there are only %d documents", len(documents))
	}
}

// tool returns the path of a program; without it the test is skipped, and in CI fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path = "/usr/sbin/" + name; os.Getenv("CI") == "" && !exists(path) {
			t.Skip(name + " is not here")
		}
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// systemd finds nothing wrong with the units.
func TestSystemd(t *testing.T) {
	folder := t.TempDir()
	for _, unit := range []string{"pregon.service", "pregon.socket"} {
		// The program, which need not be installed here.
		content := strings.ReplaceAll(text(t, unit), "/usr/local/bin/pregon", "/bin/true")
		if err := os.WriteFile(filepath.Join(folder, unit), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(tool(t, "systemd-analyze"), "verify", "--man=no", filepath.Join(folder, "pregon.service"), filepath.Join(folder, "pregon.socket"))
	if out, err := command.CombinedOutput(); err != nil || strings.Contains(string(out), "pregon") {
		t.Errorf("%v: %s", err, out)
	}
}
