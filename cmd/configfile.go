package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/server/config"
)

// notInFile are the flags of serve that are no settings of a file: lists, for which it has
// names of its own, and those that say where it is or make it needless.
var notInFile = []string{
	"help", "version", "config", "open", "publish-key", "jwt-key", "jwks", "issuer", "audience", "allow-origin", "host", "trust-proxy", "cookie",
}

// fileOptions are what package config has to know of the flags of serve.
func fileOptions(serve *kong.Node) config.Options {
	flags := map[string]*kong.Flag{}
	var o config.Options
	for _, f := range serve.Flags {
		if !slices.Contains(notInFile, f.Name) {
			flags[f.Name] = f
			o.Settings = append(o.Settings, f.Name)
		}
	}
	o.Check = func(name, value string) error { return checkSetting(flags[name], value) }
	return o
}

// serveNode returns the command serve of the command line.
func serveNode(app *kong.Application) *kong.Node {
	i := slices.IndexFunc(app.Children, func(n *kong.Node) bool { return n.Name == "serve" })
	return app.Children[i]
}

// ourModule begins the paths of all of the program's own packages.
const ourModule = "github.com/pregon/pregon/"

// checkSetting returns why a flag cannot have a value, which it does not quote.
func checkSetting(f *kong.Flag, value string) error {
	target := reflect.New(f.Target.Type()).Elem()
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: value})
	err := f.Mapper.Decode(&kong.DecodeContext{Value: f.Value, Scan: scan}, target)
	enums, kind := f.EnumSlice(), target.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	switch {
	case f.Enum != "" && !slices.Contains(enums, value):
		return fmt.Errorf("this must be one of %s", strings.Join(enums, ", "))
	case err == nil:
		return nil
	case f.IsBool():
		return errors.New("this must be true or false")
	case kind == reflect.TypeFor[time.Duration]():
		return errors.New("this must be a time such as 10s")
	case kind == reflect.TypeFor[int]():
		return errors.New("this must be a whole number")
	case kind == reflect.TypeFor[float64]():
		return errors.New("this must be a number")
	case kind == reflect.TypeFor[slog.Level]():
		return errors.New("this must be one of debug, info, warn and error")
	case strings.HasPrefix(kind.PkgPath(), ourModule):
		return err // which does not quote the value
	}
	return errors.New("this cannot be the value of the flag: see pregon serve --help")
}

// A settingsFile is what serve has of its flags from --config.
type settingsFile struct {
	options config.Options            // for reading it again
	used    map[string]config.Setting // neither the command line nor the environment says otherwise
	all     map[string]config.Setting
	proxies []netip.Prefix
}

// BeforeResolve is called by kong: flags get their values from --config where neither the
// command line nor the environment has one.
func (c *serveCommand) BeforeResolve(kctx *kong.Context, trace *kong.Path) error {
	serve := trace.Node()
	c.file = settingsFile{options: fileOptions(serve), used: map[string]config.Setting{}}
	path, _ := kctx.FlagValue(flagOf(serve, "config")).(string)
	if path == "" {
		return nil
	}
	read, _, err := config.Load(path, c.file.options) // whose warnings Run tells
	if err != nil {
		return err
	}
	c.file.all, c.file.proxies = read.Settings, read.TrustProxies
	kctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		s, ok := read.Settings[f.Name]
		if !ok || hasVariable(f) {
			return nil, nil
		}
		c.file.used[f.Name] = s
		if f.Tag.Type == "path" && !filepath.IsAbs(s.Value) {
			return filepath.Join(filepath.Dir(path), s.Value), nil // as all files that it names
		}
		if secret, isFile := strings.CutPrefix(s.Value, "@"); isFile && f.PlaceHolder == "@FILE" && !filepath.IsAbs(secret) {
			return "@" + filepath.Join(filepath.Dir(path), secret), nil
		}
		return s.Value, nil
	}))
	return nil
}

func flagOf(n *kong.Node, name string) *kong.Flag {
	i := slices.IndexFunc(n.Flags, func(f *kong.Flag) bool { return f.Name == name })
	return n.Flags[i]
}

// hasVariable reports whether the environment has a value for a flag.
func hasVariable(f *kong.Flag) bool {
	return slices.ContainsFunc(f.Envs, func(name string) bool { _, ok := os.LookupEnv(name); return ok })
}

// mentioned is a flag that an error is about.
var mentioned = regexp.MustCompile(`--([a-z-]+)`)

// located returns err with the place in the file of the first flag that it is about, of those that
// have their values from there.
func (c *serveCommand) located(err error) error {
	if err == nil {
		return nil
	}
	for _, flag := range mentioned.FindAllStringSubmatch(err.Error(), -1) {
		if s, ok := c.file.used[flag[1]]; ok {
			return fmt.Errorf("%s: line %d, column %d: %w", c.Access.Config, s.Line, s.Column, err)
		}
	}
	return err
}
