package elasticsearch

import (
	"encoding/json"

	"github.com/annals-dev/annals/audit"
)

// schemaVersion is the version of the mapping; it stands in its _meta.
const schemaVersion = 1

// Fields of our own beside those of the table. Those that begin with x_ are
// searched and counted by, and not kept in the source.
const (
	fieldTime     = "@timestamp" // occurred_at in milliseconds, for dashboards and for buckets of time
	fieldText     = "x_text"     // the tokens of full text search, separated by blanks
	fieldMetadata = "x_metadata" // one term for each metadata key, and for each key with its value
	fieldActor    = "x_actor"    // by what a breakdown by actor groups: the e-mail, else the id
	fieldSession  = "x_session"  // the session with its namespace and tenant
	fieldSaved    = "x_saved"    // tokens that deduplication saved
)

type object = map[string]any

// mapping is that of every record. It has a fixed number of fields: what it does
// not name (documents, hashes, prose) is kept in the source and not indexed, so
// no payload makes it grow or is refused for its shape.
func mapping(fullText bool) object {
	fields := object{}
	for _, f := range audit.Fields() {
		switch {
		case f.Name == "occurred_at":
			fields[f.Name] = object{"type": "long"}
		case f.Ops == 0:
		case f.Kind == audit.Text || f.Kind == audit.Identity:
			fields[f.Name] = object{"type": "keyword"}
		case f.Kind == audit.Flag:
			fields[f.Name] = object{"type": "boolean"}
		default:
			fields[f.Name] = object{"type": "long"}
		}
	}
	fields[fieldTime] = object{"type": "date", "format": "epoch_millis"}
	fields[fieldMetadata] = object{"type": "keyword", "doc_values": false}
	fields[fieldActor] = object{"type": "keyword"}
	fields[fieldSession] = object{"type": "keyword"}
	fields[fieldSaved] = object{"type": "long", "index": false}
	if fullText {
		// The tokens are made here, by the one rule of package audit; the server
		// only splits at blanks.
		fields[fieldText] = object{"type": "text", "analyzer": "whitespace", "norms": false, "index_options": "docs"}
	}
	return object{
		"_meta":      object{"annals": schemaVersion},
		"dynamic":    false,
		"_source":    object{"excludes": []string{"x_*"}},
		"properties": fields,
	}
}

// ownMapping is that of the documents beside the records.
func ownMapping() object {
	return object{
		"_meta":   object{"annals": schemaVersion},
		"dynamic": false,
		"properties": object{
			"type": object{"type": "keyword"},
			"key":  object{"type": "keyword"},
		},
	}
}

func (s *Store) settings() object {
	return object{
		"number_of_shards":     1, // a chain's records go one after the other
		"auto_expand_replicas": s.opt.Replicas,
		"refresh_interval":     number(max(s.opt.RefreshInterval.Milliseconds(), 1)) + "ms",
	}
}

// template applies to every index of records, also to one that an operator makes.
func (s *Store) template() object {
	return object{
		"index_patterns": []string{s.recordsPattern()},
		"priority":       500,
		"version":        schemaVersion,
		"_meta":          object{"annals": schemaVersion},
		"template":       object{"settings": s.settings(), "mappings": mapping(!s.opt.NoFullText)},
	}
}

// encoded writes JSON that our own values cannot fail to have.
func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("elasticsearch: " + err.Error())
	}
	return b
}
