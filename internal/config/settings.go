package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Setting describes one setting; [Settings] derives them from the struct.
type Setting struct {
	Key     string // the TOML key with its tables, e.g. "audit.redact.fields"
	Env     string // the environment variable
	Default string // as it would be written in the environment
	Example string // what the example files show instead of the default; "" is the default
	Doc     string
	Type    string // boolean, text, list, number, whole number or seconds

	index  []int
	secret string // url: its password is not shown; key: nothing of it is
}

// Settings are all settings in the order of the struct.
func Settings() []Setting { return settings }

var settings = collect(reflect.TypeFor[Config](), "", nil)

func collect(t reflect.Type, prefix string, index []int) (out []Setting) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("toml")
		if name == "" {
			continue
		}
		at := append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct {
			out = append(out, collect(f.Type, prefix+name+".", at)...)
			continue
		}
		key := prefix + name
		out = append(out, Setting{
			Key: key, Env: envName(key), Default: f.Tag.Get("default"), Example: f.Tag.Get("example"), Doc: f.Tag.Get("doc"),
			Type: typeName(f.Type), index: at, secret: f.Tag.Get("secret"),
		})
	}
	return out
}

func envName(key string) string {
	name := strings.TrimPrefix(key, "audit.")
	return "AUDIT_TRAIL_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

func typeName(t reflect.Type) string {
	if t == reflect.TypeFor[Seconds]() {
		return "seconds"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "list"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64:
		return "whole number"
	}
	return "text"
}

func byKey(key string) (Setting, bool) {
	for _, s := range settings {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// set gives one setting its value from text; a list is separated by commas.
func (c *Config) set(s Setting, text string) error {
	v := reflect.ValueOf(c).Elem().FieldByIndex(s.index)
	switch s.Type {
	case "text":
		v.SetString(text)
	case "list":
		list := []string{}
		for _, item := range strings.Split(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		v.Set(reflect.ValueOf(list))
	case "boolean":
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("is %q, want true or false", text)
		}
		v.SetBool(b)
	case "whole number":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("is %q, want a whole number", text)
		}
		v.SetInt(n)
	case "number":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("is %q, want a number", text)
		}
		v.SetFloat(f)
	case "seconds":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) {
			return fmt.Errorf("is %q, want a number of seconds", text)
		}
		if math.Abs(f) > maxSeconds {
			return fmt.Errorf("is %s, at most %d seconds (100 years)", text, int64(maxSeconds))
		}
		v.SetInt(int64(math.Round(f * float64(time.Second))))
	}
	return nil
}

const maxSeconds = 100 * 365 * 24 * 60 * 60

// text is the inverse of set.
func (c *Config) text(s Setting) string {
	v := reflect.ValueOf(c).Elem().FieldByIndex(s.index)
	switch s.Type {
	case "list":
		return strings.Join(v.Interface().([]string), ",")
	case "seconds":
		return strconv.FormatFloat(time.Duration(v.Int()).Seconds(), 'f', -1, 64)
	case "number":
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}
