package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/annals-dev/annals/spool"
)

// storeName tells the store of the settings from any other, for the spool that
// feeds it. Who connects to it, and how, makes no difference.
func (c *Config) storeName() string {
	a := &c.Audit
	switch a.Backend {
	case "sqlite":
		file := a.URL
		if !c.IsSet("audit.spool_dir") {
			file = filepath.Base(file) // the spool lies beside the file, and moves with it
		} else if abs, err := filepath.Abs(file); err == nil {
			file = abs
		}
		return spool.StoreName(a.Backend, file, a.Prefix)
	case "dynamodb":
		url := a.URL
		if !c.IsSet("audit.url") {
			url = ""
		}
		table := a.TableName
		if table == "" {
			table = a.Prefix + "audit"
		}
		return spool.StoreName(a.Backend, url, a.Region, table)
	case "postgres":
		return spool.StoreName(a.Backend, append(database(a.URL), a.Postgres.Schema, a.Prefix)...)
	case "clickhouse":
		return spool.StoreName(a.Backend, append(database(a.URL), a.Prefix)...)
	case "elasticsearch":
		return spool.StoreName(a.Backend, append(nodes(a.URL), a.Prefix)...)
	}
	return spool.StoreName(a.Backend, a.URL, a.Prefix)
}

// nodes gives the hosts and paths of the addresses of a cluster.
func nodes(addresses string) []string {
	var out []string
	for text := range strings.SplitSeq(addresses, ",") {
		if u, err := url.Parse(strings.TrimSpace(text)); err == nil {
			text = u.Host + strings.TrimSuffix(u.Path, "/")
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// keyword finds the words of a connection string of libpq that say where the
// database is; a value is one word or stands between quotes.
var keyword = regexp.MustCompile(`(?i)\b(host|port|dbname)\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`)

// database gives what a connection string says of host, port and database.
func database(conn string) []string {
	if u, err := url.Parse(conn); err == nil && u.Scheme != "" {
		q := u.Query()
		return []string{u.Host, q.Get("host"), q.Get("port"), u.Path, q.Get("dbname")}
	}
	var out []string
	for _, m := range keyword.FindAllStringSubmatch(conn, -1) {
		out = append(out, m[1]+"="+m[2])
	}
	return out
}
