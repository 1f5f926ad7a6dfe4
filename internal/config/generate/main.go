// Command generate writes the pages that derive from the settings.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/annals-dev/annals/internal/config"
)

func main() {
	for path, text := range map[string]string{
		"../../.env.example":                    config.EnvExample(),
		"../../docs/reference/configuration.md": config.Reference(),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
