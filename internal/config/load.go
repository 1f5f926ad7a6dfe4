package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/annals-dev/annals/audit"
)

// source says where a setting got its value, for errors and for print.
type source string

const fromDefault source = "default"

// Input is where settings come from, the later winning: file, environment, flags.
type Input struct {
	File  string            // TOML file; "" is none
	Env   []string          // "NAME=value", as os.Environ gives them
	Flags map[string]string // settings by key, as given on the command line
}

// defaults gives the settings without any input, as the tags say.
func defaults() *Config {
	c := &Config{sources: map[string]source{}}
	for _, s := range settings {
		if err := c.set(s, s.Default); err != nil {
			panic("config: default of " + s.Key + ": " + err.Error())
		}
		c.sources[s.Key] = fromDefault
	}
	return c
}

// Load reads the settings and validates them. An unknown key, a value of the
// wrong kind and a contradiction are errors that name the setting and its place.
func Load(in Input) (*Config, error) {
	c := defaults()
	if in.File != "" {
		if err := c.loadFile(in.File); err != nil {
			return nil, err
		}
	}
	if err := c.loadEnv(in.Env); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(in.Flags)) {
		s, ok := byKey(key)
		if !ok {
			return nil, invalid(key, "command line", "is not a setting")
		}
		if err := c.assign(s, in.Flags[key], "command line"); err != nil {
			return nil, err
		}
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.resolve()
	return c, nil
}

// serverFlushInterval is the default in the program, so that what was posted is soon seen.
const serverFlushInterval = Seconds(time.Second)

// resolve gives the settings whose default depends on others, or on where the
// trail runs, the value that is in force in this program.
func (c *Config) resolve() {
	if !c.IsSet("audit.buffer_flush_interval") {
		c.Audit.BufferFlushInterval = serverFlushInterval
	}
	if p, err := c.retention(); err == nil { // validated before
		c.Audit.RetentionDays = int(p.Ceiling / days(1))
	}
	if c.Audit.Durability == "" {
		c.Audit.Durability = string(c.defaultDurability())
	}
	if c.Audit.Backend == "sqlite" && !c.IsSet("audit.spool_dir") {
		// What waits for one store must not find its way into another.
		c.Audit.SpoolDir = filepath.Join(filepath.Dir(c.Audit.URL), "spool")
	}
}

func (c *Config) assign(s Setting, text string, from source) error {
	if err := c.set(s, text); err != nil {
		return invalid(s.Key, from, err.Error())
	}
	c.sources[s.Key] = from
	return nil
}

func invalid(key string, from source, msg string) error {
	return &audit.Error{Code: audit.CodeInvalid, Field: key, Message: placed(msg, from)}
}

// placed adds where a setting got its value.
func placed(msg string, from source) string {
	if from != "" && from != fromDefault {
		msg += " (" + string(from) + ")"
	}
	return msg
}

// Blame gives an error of a part of the program the name of the setting that
// the part was configured with, and its place. Any other error comes back as it is.
func (c *Config) Blame(err error, key string) error {
	var e *audit.Error
	if !errors.As(err, &e) {
		return err
	}
	return &audit.Error{Code: e.Code, Field: key, Message: placed(e.Message, c.sources[key]), Cause: e.Cause}
}

func (c *Config) loadFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return &audit.Error{Code: audit.CodeInvalid, Field: "config", Message: "cannot be read", Cause: err}
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, col := at.Position()
			return &audit.Error{Code: audit.CodeInvalid, Field: "config", Message: fmt.Sprintf("%s:%d:%d: %s", path, row, col, strings.TrimPrefix(at.Error(), "toml: "))}
		}
		return &audit.Error{Code: audit.CodeInvalid, Field: "config", Message: path + ": " + err.Error()}
	}
	return c.loadTree(path, data, "", tree)
}

func (c *Config) loadTree(path string, data []byte, prefix string, tree map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key := prefix + name
		from := source(fmt.Sprintf("%s:%d", path, lineOf(data, key)))
		s, known := byKey(key)
		if table, ok := tree[name].(map[string]any); ok && !known {
			if !isTable(key) {
				return invalid(key, from, "is not a table of settings")
			}
			if err := c.loadTree(path, data, key+".", table); err != nil {
				return err
			}
			continue
		}
		if !known {
			return invalid(key, from, "is not a setting")
		}
		text, err := tomlText(s, tree[name])
		if err != nil {
			return invalid(key, from, err.Error())
		}
		if err := c.assign(s, text, from); err != nil {
			return err
		}
	}
	return nil
}

func isTable(key string) bool {
	return slices.ContainsFunc(settings, func(s Setting) bool { return strings.HasPrefix(s.Key, key+".") })
}

// tomlText gives a TOML value in the form of the environment, and insists on its kind.
func tomlText(s Setting, v any) (string, error) {
	switch v := v.(type) {
	case map[string]any:
		return "", fmt.Errorf("is a table, want a %s", s.Type)
	case []any:
		if s.Type != "list" {
			return "", fmt.Errorf("is a list, want a %s", s.Type)
		}
		items := make([]string, 0, len(v))
		for _, item := range v {
			text, ok := item.(string)
			if !ok || strings.Contains(text, ",") {
				return "", errors.New("every item must be a text without a comma")
			}
			items = append(items, text)
		}
		return strings.Join(items, ","), nil
	case string:
		if s.Type != "text" && s.Type != "list" {
			return "", fmt.Errorf("is a text, want a %s", s.Type)
		}
		return v, nil
	case bool:
		if s.Type != "boolean" {
			return "", fmt.Errorf("is a boolean, want a %s", s.Type)
		}
	case int64, float64:
		if s.Type == "text" || s.Type == "boolean" || s.Type == "list" {
			return "", fmt.Errorf("is a number, want a %s", s.Type)
		}
	default:
		return "", fmt.Errorf("is a date or a time, want a %s", s.Type)
	}
	return fmt.Sprint(v), nil
}

var (
	tableLine = regexp.MustCompile(`^\s*\[+\s*([^\]]+?)\s*\]`)
	keyLine   = regexp.MustCompile(`^\s*([\w."' -]+?)\s*=`)
	keyMarks  = strings.NewReplacer(`"`, "", "'", "", " ", "")
)

// lineOf finds the line that sets the key, for people: where it cannot tell,
// that of the table around it, or else the first.
func lineOf(data []byte, key string) int {
	table := ""
	for i, line := range strings.Split(string(data), "\n") {
		if m := tableLine.FindStringSubmatch(line); m != nil {
			name := keyMarks.Replace(m[1])
			if table = name + "."; name == key {
				return i + 1
			}
		} else if m := keyLine.FindStringSubmatch(line); m != nil && table+keyMarks.Replace(m[1]) == key {
			return i + 1
		}
	}
	if dot := strings.LastIndexByte(key, '.'); dot >= 0 {
		return lineOf(data, key[:dot])
	}
	return 1
}

// envPrefix begins every variable of ours; one that is no setting is refused,
// as a misspelt variable would otherwise be ignored in silence.
const envPrefix = "AUDIT_TRAIL_"

func (c *Config) loadEnv(env []string) error {
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		i := slices.IndexFunc(settings, func(s Setting) bool { return s.Env == name })
		if i < 0 {
			return invalid(name, "environment", "is not a setting")
		}
		if err := c.assign(settings[i], value, source("environment "+name)); err != nil {
			return err
		}
	}
	return nil
}

// IsSet reports whether the setting was given, by file, environment or flag.
func (c *Config) IsSet(key string) bool { return c.sources[key] != fromDefault }

// Has reports whether there is a setting of that key.
func (c *Config) Has(key string) bool {
	_, ok := byKey(key)
	return ok
}
