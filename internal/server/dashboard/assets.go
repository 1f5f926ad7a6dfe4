package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file that pages load. Its address holds a part of its hash, so that
// browsers keep it for ever and never take an old one for a new one.
type asset struct {
	body []byte
	kind string
	hash string
}

var assetKinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func loadAssets() (map[string]*asset, error) {
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "the dashboard's files are missing", Cause: err}
	}
	files := make(map[string]*asset, len(entries))
	for _, e := range entries {
		body, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, &audit.Error{Code: audit.CodeInternal, Message: "the dashboard's file " + e.Name() + " cannot be read", Cause: err}
		}
		sum := sha256.Sum256(body)
		files[e.Name()] = &asset{body: body, kind: assetKinds[path.Ext(e.Name())], hash: hex.EncodeToString(sum[:6])}
	}
	return files, nil
}

// asset serves a file.
func (d *dash) asset(w http.ResponseWriter, r *http.Request) error {
	a, ok := d.files[r.PathValue("name")]
	if !ok {
		return d.nothing(w, r)
	}
	h := w.Header()
	if r.URL.Query().Get("v") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	_, _ = w.Write(a.body) // a client that has gone needs no answer
	return nil
}
