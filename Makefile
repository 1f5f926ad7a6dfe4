# Annals: `make run` starts the server on an empty directory, `make test` runs every test.
GO          ?= go
BIN         := bin/annals
ADDR        ?= 127.0.0.1:8480
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help run build check test fuzz bench generate vuln clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## start the server and dashboard on SQLite in ./annals-data
	./$(BIN) serve --addr $(ADDR)

build: ## build bin/annals
	$(GO) build -trimpath -ldflags '-X github.com/annals-dev/annals/internal/cli.version=$(VERSION)' -o $(BIN) ./cmd/annals

check: ## the inner loop, under two minutes: format, vet, staticcheck, known vulnerabilities, short tests
	@test -z "$$(gofmt -l .)" || { echo 'not formatted:'; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@scripts/vulncheck
	$(GO) test -short ./...

test: ## every test, with the race detector; installs Chromium and the engines where it can
	@scripts/chromium >/dev/null
	@scripts/engines >/dev/null
	$(GO) test -race -timeout 40m ./...

fuzz: ## fuzz every decoder for a minute each
	@scripts/fuzz 60s

bench: ## the benchmarks, as one table of ratios; see bench/README.md
	@scripts/bench

generate: ## write the generated pages, the OpenAPI document and the golden files anew
	$(GO) generate ./...

vuln: ## known vulnerabilities only
	@ANNALS_VULN_REQUIRED=1 scripts/vulncheck

clean: ## remove what was built
	rm -rf bin bench/out
