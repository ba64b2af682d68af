# `make demo` runs the example application and shows an allowed and a refused request; `make check`
# is what CI runs.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
export CGO_ENABLED = 0

.PHONY: build init demo check tools test vet lint soak bench generate coverage deps clean

# One static binary, the sandbox's init embedded.
build: init
	go build -trimpath -ldflags "$(LDFLAGS)" -o bin/bastide ./cmd/bastide

# The sandbox's init, which the main binary embeds.
init:
	@go generate ./internal/sandbox

# The main job: deploy examples/tasks, call it, show what is allowed and what is refused and why.
demo: build
	@examples/tasks/demo.sh

check: tools build vet test

# What the tests need beside Go: python clients, installed once into .tools.
tools:
	@test/tools.sh

vet:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "gofmt these files"; exit 1; }
	go vet ./...

# Three packages at a time: they wait more than they compute.
test:
	PATH="$(CURDIR)/.tools/bin:$$PATH" go test -p 3 -timeout 20m ./...

lint:
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run

# Long runs: crash suites over hundreds of rounds, fuzzing of every parser.
soak: tools build
	BASTIDE_SOAK=1 PATH="$(CURDIR)/.tools/bin:$$PATH" go test -timeout 3h ./internal/store/... ./internal/audit/... ./internal/sandbox/... ./test/...
	test/fuzz.sh

bench: build tools
	bench/rie.sh
	go run ./bench

generate:
	go generate ./tools/apigen ./internal/sandbox

# docs/coverage.md, from the tables of the services.
coverage:
	go run ./tools/coverage > docs/coverage.md

# deps.txt: the modules that the binary links.
deps:
	go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}' ./cmd/bastide | grep . | sort -u > deps.txt

clean:
	rm -rf bin .tools
