# foundation-agent. `make run` builds and runs the agent; `make test` passes the tests; `make help` lists the rest.

SHELL   := bash
GO      ?= go
BUILD   := build
BINARY  := $(BUILD)/foundation-agent
VERSION ?= $(shell git describe --tags 2>/dev/null || echo 0.1.0)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
EPOCH   ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
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

.PHONY: test-elixir
test-elixir: build ## the Elixir client's tests against the built agent; skipped where mix is not installed
	@if command -v mix > /dev/null; then cd clients/elixir && FOUNDATION_AGENT_BINARY=$(CURDIR)/$(BINARY) mix test; \
	else echo "test-elixir: skipped, mix is not installed (make test-tools installs it)"; fi

.PHONY: test
test: build test-elixir ## unit, property and integration tests, with the race detector; integration tests run the built agent
	FOUNDATION_AGENT_BINARY=$(CURDIR)/$(BINARY) CGO_ENABLED=1 $(GO) test -race -timeout 20m ./...

TESTBED := FOUNDATION_AGENT_BINARY=$(CURDIR)/$(BINARY) $(GO) test -count=1

.PHONY: bench
bench: build ## compare with the field, side by side, under 20 minutes; BENCH=quick for 3; results in build/bench
	cd testbed/bench && BENCH=$(or $(BENCH),full) $(TESTBED) -timeout 60m -run TestBench

.PHONY: test-tools
test-tools: ## install the real parts that some tests use, on Debian as root: Node.js, Prometheus, Chromium, Elixir
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		$$(command -v npm > /dev/null || echo nodejs npm) curl prometheus chromium elixir erlang-base erlang-inets erlang-ssl > /dev/null

.PHONY: growth
growth: build ## cost a record and memory a key at 10^4 to 10^7; results in build/growth
	cd testbed/growth && GROWTH=1 $(TESTBED) -timeout 60m -run TestGrowth

.PHONY: pause
pause: build ## back up a million keys and 100,000 open spans under load: the longest pause of each table
	cd testbed/pause && PAUSE=1 $(TESTBED) -timeout 10m -run TestPause

.PHONY: chaos
chaos: build ## break the agent under load and hold the accounts against the promises; CHAOS=short for 4 minutes
	cd testbed/chaos && CHAOS=$(or $(CHAOS),full) $(TESTBED) -timeout 60m -run TestChaos

.PHONY: runbook
runbook: build ## play the operations runbook on the built agent, from preflight to report, with seconds for hours
	cd testbed/runbook && $(TESTBED) -timeout 10m -v -run TestRunbook

.PHONY: soak
soak: build ## run under mixed load for DURATION (30m): growth of memory, goroutines, descriptors, latency; accounts
	cd testbed/soak && DURATION=$(or $(DURATION),30m) $(TESTBED) -timeout 0 -run TestSoak

.PHONY: lint
lint: ## go vet and golangci-lint
	$(GO) vet ./...
	$(GO) tool -modfile=tools/lint/go.mod golangci-lint run ./...
	cd testbed && $(GO) vet ./... && $(GO) tool -modfile=../tools/lint/go.mod golangci-lint run ./...

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
	test "$$($(GO) env GOARCH)" != "$$($(GO) env GOHOSTARCH)" || $(BUILD)/node/foundation-agent-node components > /dev/null

.PHONY: test-node
test-node: node ## the tests that need the node distribution: DaemonSet, scraped agents, three gateways, Kafka
	FOUNDATION_AGENT_NODE_BINARY=$(CURDIR)/$(BUILD)/node/foundation-agent-node \
		$(GO) test -count 1 -v -run TestNode ./cmd/foundation-agent ./extension/registry

RELEASE  := $(BUILD)/release
PACKAGER := $(GO) tool -modfile=$(CURDIR)/tools/release/go.mod

.PHONY: sbom
sbom: build ## what the binary is made of, as CycloneDX
	$(PACKAGER) cyclonedx-gomod bin -json -noserial -version $(VERSION) -output $(BUILD)/sbom.cdx.json $(BINARY)
	sed -i 's/"timestamp": "[^"]*"/"timestamp": "$(DATE)"/' $(BUILD)/sbom.cdx.json # it does not know SOURCE_DATE_EPOCH

.PHONY: release
release: sbom ## static binaries, .deb, .rpm, SBOM and checksums, the same bytes from the same commit
	rm -rf $(RELEASE) && mkdir -p $(RELEASE) && cp $(BUILD)/sbom.cdx.json $(RELEASE)/
	for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' \
			-o $(RELEASE)/foundation-agent-linux-$$arch ./cmd/foundation-agent && \
		for packager in deb rpm; do \
			ARCH=$$arch VERSION=$(patsubst v%,%,$(VERSION)) SOURCE_DATE_EPOCH=$(EPOCH) $(PACKAGER) nfpm package \
				--config deploy/package/nfpm.yaml --packager $$packager --target $(RELEASE)/ || exit 1; done || exit 1; done
	cd $(RELEASE) && sha256sum foundation-agent* sbom* > SHA256SUMS

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BUILD)

KUBE         := $(BUILD)/kube/$(firstword $(shell sha256sum tools/kube/go.sum 2>/dev/null))
KUBE_VERSION := -X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
	-X k8s.io/component-base/version.gitMinor=36 -X k8s.io/component-base/version.gitTreeState=clean \
	-X k8s.io/component-base/version.gitCommit=unknown -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z
KUBE_LDFLAGS := -s -w $(KUBE_VERSION) $(subst component-base/version,client-go/pkg/version,$(KUBE_VERSION))

$(KUBE)/helm: tools/kube/go.mod
	mkdir -p $(KUBE)
	cd tools/kube && GOFLAGS=-mod=mod $(GO) build -p 2 -trimpath -gcflags='all=-N -l' -ldflags "$(KUBE_LDFLAGS)" -o $(CURDIR)/$(KUBE)/ \
		k8s.io/kubernetes/cmd/kube-apiserver go.etcd.io/etcd/server/v3 k8s.io/kubernetes/cmd/kubectl helm.sh/helm/v4/cmd/helm

.PHONY: manifests
manifests: $(KUBE)/helm ## deploy/manifests from the chart, for those who use no Helm
	mkdir -p deploy/manifests
	for mode in sidecar daemonset gateway; do \
		$(KUBE)/helm template foundation-agent deploy/chart --namespace observability --set mode=$$mode \
			--set application.image=your-application > deploy/manifests/$$mode.yaml || exit 1; done

.PHONY: kube
kube: $(KUBE)/helm ## the chart against a real kube-apiserver (builds one first: about 9 CPU minutes)
	KUBE_BIN=$(CURDIR)/$(KUBE) $(GO) test -tags kube -count 1 -v ./deploy/...
