package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/annals-dev/annals/chain"
)

// keptHeads reads the heads that an earlier verification printed: as a JSON
// array, or as NDJSON, and several of them after one another.
func keptHeads(file string) ([]chain.Head, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, misuse("--heads: %w", err)
	}
	var heads []chain.Head
	some := false
	for dec := json.NewDecoder(bytes.NewReader(text)); ; some = true {
		var value json.RawMessage
		err := dec.Decode(&value)
		switch {
		case err == nil:
			heads, err = appendHeads(heads, value)
		case errors.Is(err, io.EOF) && some:
			return heads, nil
		case errors.Is(err, io.EOF):
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, misuse("--heads %s: is not what annals verify printed as JSON: %w", file, err)
		}
	}
}

// appendHeads adds the heads of one report or of an array of them.
func appendHeads(heads []chain.Head, value json.RawMessage) ([]chain.Head, error) {
	type report struct {
		chain.Key
		Head *chain.Head `json:"head"`
	}
	var reports []report
	if value[0] != '[' {
		reports = make([]report, 1)
		if err := json.Unmarshal(value, &reports[0]); err != nil {
			return nil, err
		}
	} else if err := json.Unmarshal(value, &reports); err != nil {
		return nil, err
	}
	for _, r := range reports {
		switch {
		case r.Head == nil:
			return nil, errors.New("a chain has no head")
		case r.Head.Key != r.Key:
			return nil, errors.New("a head is that of another chain")
		case r.Head.Sequence < 0, r.Head.Sequence > 0 && r.Head.Hash.IsZero():
			return nil, errors.New("a head has no sequence or no hash")
		case r.Head.Sequence > 0: // an empty chain has nothing to hold
			heads = append(heads, *r.Head)
		}
	}
	return heads, nil
}
