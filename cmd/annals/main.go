// Command annals is the audit trail as a program: a server, a dashboard, and
// everything that can be asked of a trail from a shell.
package main

import (
	"os"

	"github.com/annals-dev/annals/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
