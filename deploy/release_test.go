package deploy_test

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var release = flag.Bool("release", false, "build a release, which compiles all of pregon anew")

// do runs a program in a folder, and returns what it printed.
func do(t *testing.T, folder string, environment []string, words ...string) string {
	t.Helper()
	out, err := try(folder, environment, words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

func try(folder string, environment []string, words ...string) (string, error) {
	command := exec.Command(words[0], words[1:]...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// author is who commits in the repositories of tests, whatever git is told on this machine.
var author = []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com",
	"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com"}

// repository makes one of what the tree has in these folders, whether a commit has it or not. Its only commit is v1.2.3.
func repository(t *testing.T, folders ...string) string {
	t.Helper()
	if !exists("../.git") && os.Getenv("CI") == "" {
		t.Skip("this tree is not in git")
	}
	folder := t.TempDir()
	files := do(t, "..", nil, append([]string{tool(t, "git"), "ls-files", "-coz", "--exclude-standard", "--"}, folders...)...)
	for file := range strings.SplitSeq(strings.TrimRight(files, "\x00"), "\x00") {
		from, to := filepath.Join("..", file), filepath.Join(folder, file)
		content, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			continue // deleted, and not yet so in git
		}
		info, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range []string{"init -q", "add -A", "commit -q -m tree", "tag v1.2.3"} {
		do(t, folder, author, append([]string{"git"}, strings.Fields(words)...)...)
	}
	return folder
}

// A release is never under a name that does not say what it is. With -release, it is the same bytes wherever it is
// built, says its version and commit, and comes with its sums and with a list of all that is in it; and what go install
// makes says its version, too.
func TestRelease(t *testing.T) {
	t.Parallel()
	t.Run("refused", refused)
	if *release {
		first := repository(t, ".", ":!testdata")
		t.Run("built", func(t *testing.T) { built(t, first) })
		t.Run("installed", func(t *testing.T) { installed(t, first) })
	}
}

func built(t *testing.T, first string) {
	platform, second := runtime.GOOS+"/"+runtime.GOARCH, filepath.Join(t.TempDir(), "elsewhere")
	do(t, first, author, "git", "clone", "-q", first, second)
	sums := do(t, first, nil, "deploy/release.sh", "v1.2.3", platform)
	// What is set for other builds does not count.
	if again := do(t, second, []string{"CGO_ENABLED=1", "GOFLAGS=-tags=other"}, "deploy/release.sh", "v1.2.3", platform); again != sums {
		t.Errorf("built twice:\n%s%s", sums, again)
	}

	dist := filepath.Join(first, "dist")
	checkSums(t, dist, sums)
	name := filepath.Join(dist, "pregon_v1.2.3_"+strings.ReplaceAll(platform, "/", "_"))
	commit := do(t, first, author, "git", "rev-parse", "HEAD")[:12]
	if got := do(t, dist, nil, name, "version"); !strings.HasPrefix(got, "pregon v1.2.3 "+commit+" go") {
		t.Errorf("its version is %q, and the commit %s", got, commit)
	}
	checkContents(t, name)
	if status := do(t, first, author, "git", "status", "--porcelain"); status != "" {
		t.Errorf("the release is not ignored: %s", status)
	}
}

// checkSums sees that each file of a release is named in SHA256SUMS, with its own sum.
func checkSums(t *testing.T, dist, sums string) {
	t.Helper()
	files, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.Name() == "SHA256SUMS" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dist, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		if line := hex.EncodeToString(sum[:]) + "  " + file.Name() + "\n"; !strings.Contains(sums, line) {
			t.Errorf("there is no %q in\n%s", line, sums)
		}
	}
	if written, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS")); err != nil || string(written) != sums || len(files) != 3 {
		t.Errorf("%v, %d files, and SHA256SUMS is %q", err, len(files), written)
	}
}

// checkContents sees that the list of a program names each module that is linked into it, with its version.
func checkContents(t *testing.T, program string) {
	t.Helper()
	type component struct{ Name, Version string }
	var list struct {
		Format     string `json:"bomFormat"`
		Metadata   struct{ Component component }
		Components []component
	}
	content, err := os.ReadFile(program + ".cdx.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &list); err != nil || list.Format != "CycloneDX" {
		t.Fatalf("%v, of the format %q", err, list.Format)
	}
	if list.Metadata.Component != (component{"github.com/pregon/pregon", "v1.2.3"}) {
		t.Errorf("it is of %v", list.Metadata.Component)
	}
	listed := map[component]bool{}
	for _, c := range list.Components {
		listed[c] = true
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range info.Deps {
		if !listed[component{module.Path, module.Version}] {
			t.Errorf("%s %s is linked, and not listed", module.Path, module.Version)
		}
	}
	if info.GoVersion != runtime.Version() || !listed[component{"std", info.GoVersion}] {
		t.Errorf("it is made with %s, which is not listed", info.GoVersion)
	}
}

// installed sees that what go install fetches says its version. The proxy is a folder, beside the modules that this machine has.
func installed(t *testing.T, folder string) {
	proxy, home := t.TempDir(), t.TempDir()
	module := filepath.Join(proxy, "github.com/pregon/pregon/@v")
	if err := os.MkdirAll(module, 0o755); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"list": []byte("v1.2.3\n"), "v1.2.3.mod": mod, "v1.2.3.info": []byte(`{"Version":"v1.2.3"}`)} {
		if err := os.WriteFile(filepath.Join(module, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do(t, folder, author, "git", "archive", "--prefix=github.com/pregon/pregon@v1.2.3/", "-o", filepath.Join(module, "v1.2.3.zip"), "v1.2.3")
	have := strings.TrimSpace(do(t, "..", nil, "go", "env", "GOMODCACHE"))
	environment := []string{"GOPROXY=file://" + proxy + ",file://" + filepath.Join(have, "cache", "download"), "GOSUMDB=off", "GONOPROXY=none", "GOPRIVATE=",
		"GOMODCACHE=" + filepath.Join(home, "mod"), "GOBIN=" + home, "GOFLAGS=-modcacherw -trimpath", "CGO_ENABLED=0"}
	do(t, home, environment, "go", "install", "github.com/pregon/pregon/cmd/pregon@v1.2.3")
	if got := do(t, home, nil, filepath.Join(home, "pregon"), "--version"); !strings.HasPrefix(got, "pregon v1.2.3 go") {
		t.Errorf("its version is %q", got)
	}
}

func refused(t *testing.T) {
	tool(t, "make")
	folder := repository(t, "Makefile", "deploy/release.sh")
	do(t, folder, author, "git", "commit", "-q", "--allow-empty", "-m", "next")
	if err := os.WriteFile(filepath.Join(folder, "new.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, why string }{
		{"1.2", `a version is like v1.2.3, and not "1.2"`},
		{"", `a version is like v1.2.3, and not ""`},
		{"v1.2.4", "there are changes that no commit has"},
	} {
		refuses(t, folder, c.version, c.why)
	}
	if err := os.Remove(filepath.Join(folder, "new.go")); err != nil {
		t.Fatal(err)
	}
	refuses(t, folder, "v1.2.3", "v1.2.3 is the tag of another commit")
}

// refuses sees that nothing is built, and that the reason is said.
func refuses(t *testing.T, folder, version, why string) {
	t.Helper()
	if out, err := try(folder, nil, "make", "release", "VERSION="+version); err == nil || !strings.Contains(out, "release: "+why) || exists(filepath.Join(folder, "dist")) {
		t.Errorf("%v: %s", err, out)
	}
}
