# foundation-agent. `make run` builds and runs the agent; `make test` passes the tests; `make help` lists the rest.

SHELL   := bash
GO      ?= go
BUILD   := build
BINARY  := $(BUILD)/foundation-agent
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL    := $(GO) tool -modfile=$(CURDIR)/tools/go.mod
export CGO_ENABLED ?= 0
export GOFLAGS += -buildvcs=false

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: build
build: ## build the sidecar into build/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/foundation-agent

.PHONY: run
run: build ## build and run with the embedded default configuration
	./$(BINARY)

.PHONY: test
test: ## unit, property and integration tests, with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...

.PHONY: lint
lint: ## go vet and golangci-lint
	$(GO) vet ./...
	$(GO) tool -modfile=tools/lint/go.mod golangci-lint run ./...

.PHONY: generate
generate: ## components.go from builder-config.yaml by ocb; metrics from each metadata.yaml by mdatagen
	@scratch=$$(mktemp -d) && trap 'rm -rf $$scratch' EXIT && \
	sed "s#output_path: .*#output_path: $$scratch#" builder-config.yaml > $$scratch/manifest.yaml && \
	$(TOOL) builder --config=$$scratch/manifest.yaml --skip-get-modules --skip-compilation && \
	cp $$scratch/components.go cmd/foundation-agent/
	@for m in $$(git ls-files -co --exclude-standard '*/metadata.yaml'); do \
		(cd $$(dirname $$m) && $(TOOL) mdatagen metadata.yaml) || exit 1; done

.PHONY: ocb
ocb: ## build the sidecar with plain ocb, as a user with a build of their own would
	$(TOOL) builder --config=builder-config.yaml
	$(BUILD)/ocb/foundation-agent components > /dev/null

.PHONY: node
node: ## build the DaemonSet and gateway distribution with plain ocb
	$(TOOL) builder --config=builder-config-node.yaml
	$(BUILD)/node/foundation-agent-node components > /dev/null

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BUILD)
