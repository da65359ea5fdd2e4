# Versions of everything that isn't in a go.mod or demo/npm/package.json, in one place.
GO_VERSION       := 1.26.11
ENVOY_VERSION    := 1.40.0
# Those that README.md says it is tested on.
ENVOYS_TESTED    := 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0
ENVOY_GATEWAY_VERSION := 1.9.1
NODE_VERSION     := 24.19.0
WASMTIME_VERSION := 50.0.1
GOLANGCI_LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT       := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK      := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# Which docs/verifying.md says it is tested with.
COSIGN           := github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3

# What the tag says; v1.0.0-3-g41cc7d0 is three commits later, and v0.0.0-… has no tag. A
# folder without a history has none, whatever folder it is in.
git = $(shell GIT_CEILING_DIRECTORIES='$(CURDIR)/..' git -c safe.directory='$(CURDIR)' $(1) 2>/dev/null)
MODULE_VERSION  := $(or $(call git,describe --tags --match 'v[0-9]*' --dirty), \
	v0.0.0-$(or $(call git,describe --always --exclude '*' --dirty),dev))
MODULE_REVISION := $(or $(call git,rev-parse HEAD),unknown)
MODULE_CREATED  := $(call git,log -1 --format=%cI)

# The one Go that all is built by, so that everybody's bytes are the same, and that what
# tools/module edits is as it is known. Another version of Go downloads it.
export GOTOOLCHAIN := go$(GO_VERSION)
# Nothing here needs a C compiler.
export CGO_ENABLED := 0
# Nor does Go ask Git, which may distrust the folder's owner: that is an error to Go.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)
# A binary of your own stands in for the one that is installed.
ENVOY    ?= build/tools/envoy/bin/envoy
CHROMIUM ?= chromium
FIREFOX  ?= firefox-esr
PROMETHEUS ?= build/tools/prometheus/usr/bin/prometheus
# Tests run in folders of their own, and need the whole path.
whole = $(abspath $(or $(shell command -v $(1) 2>/dev/null),$(2)))
override ENVOY    := $(call whole,$(ENVOY),$(ENVOY))
override CHROMIUM := $(call whole,$(CHROMIUM),$(if $(filter chromium,$(CHROMIUM)),/usr/bin/chromium,$(CHROMIUM)))
override FIREFOX  := $(call whole,$(FIREFOX),$(if $(filter firefox-esr,$(FIREFOX)),/usr/bin/firefox-esr,$(FIREFOX)))
override PROMETHEUS := $(call whole,$(PROMETHEUS),$(PROMETHEUS))
export ENVOY CHROMIUM FIREFOX PROMETHEUS

# Where a Go tool is installed.
tool = build/tools/$(notdir $(subst @,-,$(1)))
LINTER  := $(call tool,$(GOLANGCI_LINT))
ACTIONS := $(call tool,$(ACTIONLINT))
VULNS   := $(call tool,$(GOVULNCHECK))
VERIFIER := $(call tool,$(COSIGN))

# The folders with a go.mod.
MODULES := . module cmd/cors-policyd e2e e2e/gateways bench tools/image

# The commands' bytes depend on the source and the version of Go alone, as the module's do.
CORSCTL := GOFLAGS=-mod=readonly GOWORK=off GOEXPERIMENT= GOAMD64=v1 GOARM64=v8.0 go build -trimpath -buildvcs=false \
	-ldflags='-s -w -X main.version=$(MODULE_VERSION) -X main.revision=$(MODULE_REVISION)'
POLICYD := $(subst go build,go -C cmd/cors-policyd build,$(CORSCTL))
PLATFORMS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

FUZZTIME ?= 30s

.PHONY: help
help: ## Show this help
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo
	@echo 'ENVOY=/path/to/envoy, CHROMIUM=…, FIREFOX=… and PROMETHEUS=… use a binary of your own.'

.PHONY: build
build: ## Build build/cors.wasm, build/corsctl and build/cors-policyd
	@mkdir -p build
	go run ./tools/module -o build/cors.wasm -version $(MODULE_VERSION) -revision $(MODULE_REVISION)
	@echo "build/cors.wasm: $$(wc -c < build/cors.wasm) bytes"
	$(CORSCTL) -o build/corsctl ./cmd/corsctl
	$(POLICYD) -o ../../build/cors-policyd .

.PHONY: image
image: build ## Write the module as an OCI image, a layout in build/image
	@go -C tools/image build -trimpath -o ../../build/imagetool .
	@build/imagetool write build/cors.wasm build/image \
		--version '$(MODULE_VERSION)' --revision '$(MODULE_REVISION)' \
		$(if $(MODULE_CREATED),--created '$(MODULE_CREATED)')

.PHONY: push
push: image ## Push the image to IMAGE; PUSHFLAGS=--help tells more
	@build/imagetool push build/image "$$IMAGE" $(PUSHFLAGS)

# A former release goes first, so that none is there if this one fails.
.PHONY: no-dist
no-dist:
	@rm -rf build/dist build/dist.partial

.PHONY: dist
dist: no-dist image ## Write a release to build/dist, whose manifests name IMAGE; SIGN=/path/to/key.pem signs it
	@mkdir build/dist.partial
	@for platform in $(PLATFORMS); do \
		echo "building the commands for $$platform"; \
		export GOOS=$${platform%-*} GOARCH=$${platform#*-} && exe=$$(GOFLAGS= go env GOEXE) && \
		$(CORSCTL) -o build/dist.partial/corsctl-$$platform$$exe ./cmd/corsctl && \
		$(POLICYD) -o ../../build/dist.partial/cors-policyd-$$platform$$exe . || exit; done
	@rm -rf build/man && build/corsctl docs man build/man
	@go run ./tools/dist -version '$(MODULE_VERSION)' -revision '$(MODULE_REVISION)' -envoy '$(ENVOYS_TESTED)' \
		-image "$${IMAGE:-ghcr.io/proxy-wasm-cors/proxy-wasm-cors:$(MODULE_VERSION)}" \
		$(if $(MODULE_CREATED),-created '$(MODULE_CREATED)') $(if $(SIGN),-sign '$(SIGN)')

# What the page has beside the files of demo/web. Each is made when what it is made of has changed.
PAGE := build/page
PAGE_PARTS := $(PAGE)/engine.wasm $(PAGE)/wasm_exec.js $(PAGE)/codemirror.js
# npm's packages, and where Node.js is if PATH hasn't one that is new enough.
NPM := build/npm
with_node := PATH="$(CURDIR)/build/tools/node/bin:$$PATH"

.PHONY: playground
playground: $(PAGE_PARTS) ## Write the page to build/playground, for any web server
	@rm -rf build/playground.partial && mkdir build/playground.partial
	@cp -R demo/web/. $(PAGE)/. build/playground.partial
	@rm -rf build/playground && mv build/playground.partial build/playground

$(PAGE)/engine.wasm: go.mod go.sum Makefile
# The folders are among them, as they change when a file goes.
$(PAGE)/engine.wasm: $(shell find config cors match internal demo/engine -not -name '*_test.go' 2>/dev/null)
	@mkdir -p $(PAGE)
	GOOS=js GOARCH=wasm GOWASM= go build -trimpath -ldflags='-s -w' -o $@ ./demo/engine/wasm

# It goes with the version of Go.
$(PAGE)/wasm_exec.js: go.mod Makefile
	@mkdir -p $(PAGE)
	@cp "$$(go env GOROOT)/lib/wasm/wasm_exec.js" $@ && touch $@

# With it comes LICENSES.txt, which has the texts of all that the page has of others.
$(PAGE)/codemirror.js: $(NPM)/installed $(wildcard demo/npm/*.js) go.mod go.sum
	@mkdir -p $(PAGE)
	@cp demo/npm/*.js $(NPM)
	@go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' ./demo/engine | sort -u | \
		{ echo "go $$(go env GOROOT)" && cat; } | (cd $(NPM) && $(with_node) node build.js ../../$(PAGE))

$(NPM)/installed: demo/npm/package.json demo/npm/package-lock.json demo/npm/.npmrc
	@tools/install node $(NODE_VERSION)
	@rm -rf $(NPM) && mkdir -p $(NPM)
	@cp $(filter demo/npm/%,$^) $(NPM)
	@echo 'installing the packages of demo/npm'
	@cd $(NPM) && $(with_node) npm ci --silent
	@touch $@

.PHONY: run
run: build envoy playground ## Run the demo: Envoy on envoy.yaml, and cors-policyd, until Ctrl-C
	@go build -o build/demo ./demo
	@build/demo

# -count 1 where tests read what is outside of their go.mod's folder, as the module is: Go
# would not notice that it has changed, and take the result of the last run.
.PHONY: test
test: build envoy playground chromium curl databases firefox openssl prometheus systemd wabt wasmtime ## Run every test but those of the gateways
	go test -timeout 15m ./...
	go -C e2e test -count 1 -timeout 15m ./browser ./conformance ./differential ./envoy ./manifests ./operate ./wazero ./wpt
	go -C e2e test -count 1 -timeout 10m ./hotreload
	go -C e2e test -count 1 -timeout 10m ./database ./streams
	go -C bench test -count 1 ./...
	go -C cmd/cors-policyd test -count 1 -timeout 15m ./...
	go -C tools/image test -count 1 ./...

.PHONY: test-gateways
test-gateways: build envoy $(LINTER) ## Test with the code of Istio and Envoy Gateway, long to build
	@tools/install envoy-gateway $(ENVOY_GATEWAY_VERSION)
	ENVOY_GATEWAY="$$PWD/build/tools/envoy-gateway-$(ENVOY_GATEWAY_VERSION)" \
		go -C e2e/gateways test -timeout 10m -count 1 ./...
	root=$$PWD && cd e2e/gateways && "$$root/$(LINTER)" run --config "$$root/.golangci.yml" ./...

# The suites that start Envoys, on one that is installed beside that of the other targets.
.PHONY: test-envoy
test-envoy: override ENVOY := $(CURDIR)/build/tools/envoy-$(VERSION)/bin/envoy
test-envoy: build databases prometheus systemd ## Test on another Envoy: make test-envoy VERSION=1.36.4
	@[ -n '$(VERSION)' ] || { echo 'make test-envoy: say on which, as in make test-envoy VERSION=1.36.4' >&2; exit 1; }
	@tools/install envoy $(VERSION)
	go test -count 1 ./internal/envoy ./internal/envoytest ./demo
	go -C e2e test -count 1 -timeout 15m ./envoy ./operate
	go -C e2e test -count 1 -timeout 10m ./hotreload
	go -C e2e test -count 1 -timeout 10m ./database ./streams

# The tests have a short form of this, which compares what is linked and packed.
.PHONY: test-dist
test-dist: openssl ## Build a release in two folders, each with an empty cache, and compare them
	go test -run '^TestReproducible$$' -timeout 2h -count 1 -v ./tools/dist -whole

.PHONY: test-cosign
test-cosign: $(VERIFIER) ## Check signatures as docs/verifying.md says, by cosign, long to build
	COSIGN="$$PWD/$(VERIFIER)" go test -tags cosign -run '^TestCosign$$' -count 1 -v ./tools/dist

.PHONY: test-clock
test-clock: chromium firefox ## Test for how long browsers remember preflights; needs a C compiler
	go -C e2e test -tags clock -run '^TestCaps$$' -count 1 ./browser

.PHONY: soak
soak: build envoy ## Update policies for an hour; SOAKFLAGS narrows it
	go -C e2e test -run '^TestSoak$$' -timeout 6h -count 1 -v ./hotreload \
		-soak.size 1 -soak.updates 1 -soak.pace 1s -soak.longest 200ms $(SOAKFLAGS)

# Go's tests of the benchmark have its load, and a short form of this.
.PHONY: soak-requests
soak-requests: build envoy ## Send five million requests, after which memory is to be what it was
	go -C bench test -run '^TestSoakRequests$$' -timeout 3h -count 1 -v . -soak.requests 5000000 $(SOAKFLAGS)

# Each package with the tests that also run on its mutants, and those that don't, as they take long.
MUTATE ?= cors match filter config cors-policyd
mutate-cors         := -tests ./config,./filter ./cors
mutate-match        := -tests ./config ./match
mutate-filter       := ./filter
mutate-config       := ./config ./config/schema
mutate-cors-policyd := -C cmd/cors-policyd -tests ./internal/daemon ./internal/...
mutation-skips      := TestLinear|TestLargest|TestDeploy|TestPings|TestStopTogether|TestMany|TestFailures|TestFlood

.PHONY: mutation
mutation: databases ## Test the tests by wrong code; MUTATE=match is for one package, MUTATIONFLAGS=-again for what lived
	@mkdir -p build/mutation
	@go build -o build/mutation/mutation ./tools/mutation
	@failed=; $(foreach name,$(MUTATE),build/mutation/mutation -name $(name) -page docs/mutation.md \
		-results build/mutation/$(name).tsv -skip '^($(mutation-skips))$$' $(MUTATIONFLAGS) \
		$(mutate-$(name)) || failed=1;) [ -z "$$failed" ]

# Short forms of these are among the tests. -soak is how much longer, and how many more rows.
.PHONY: soak-policyd
soak-policyd: build databases ## Kill, fill, flood and slow down cors-policyd for longer; SOAKFLAGS narrows it
	go -C e2e test -run '^(TestKilled|TestNotOlder|TestFullDisk|TestLog|TestTroubles|TestCrowd|TestOriginsKilled|TestDescriptors|TestUnfinished|TestFloods|TestCertificates|TestDatabaseCertificates|TestHostileRows)$$' \
		-timeout 2h -count 1 -v ./database -soak 20 $(SOAKFLAGS)

# TestLargest measures memory, of which the detector takes some itself, and it has no room for ten thousand clients. A
# cors-policyd ends at its first race, which fails the test that runs it.
.PHONY: race
race: build envoy databases ## Run the tests of cors-policyd and of what decides with the race detector; needs a C compiler
	CGO_ENABLED=1 go -C cmd/cors-policyd test -race -count 1 -timeout 40m ./...
	CGO_ENABLED=1 go test -race -short -skip '^TestLargest$$' -count 1 -timeout 40m \
		./cors ./match ./config/... ./filter ./internal/origin
	CGO_ENABLED=1 go -C cmd/cors-policyd build -race -o ../../build/race/cors-policyd .
	CORS_POLICYD='$(CURDIR)/build/race/cors-policyd' GORACE=halt_on_error=1 \
		go -C e2e test -count 1 -timeout 40m ./database -crowd 2000

# The gateways' tests are linted where they run, since that takes building all of Istio.
.PHONY: lint
lint: $(LINTER) $(ACTIONS) shellcheck ## Run the linters
	shellcheck tools/check tools/install .ci/run
	$(ACTIONS) .github/workflows/*.yml
	$(LINTER) run ./...
	cd module && GOOS=wasip1 GOARCH=wasm ../$(LINTER) run --config ../.golangci.yml ./...
	GOOS=js GOARCH=wasm $(LINTER) run ./demo/engine/...
	root=$$PWD && for dir in cmd/cors-policyd e2e bench tools/image; do \
		(cd $$dir && "$$root/$(LINTER)" run --config "$$root/.golangci.yml" ./...) || exit; done

# Where vuln.go.dev can't be reached, VULNDB=proxy takes the newest copy of the database that the Go proxy has.
VULNDB ?= https://vuln.go.dev

# The gateways' tests are left out: what they have of others is what Istio ships.
.PHONY: vulnerabilities
vulnerabilities: $(VULNS) ## Look for known vulnerabilities in what the code calls; VULNDB=proxy without vuln.go.dev
	@db='$(VULNDB)'; [ "$$db" != proxy ] || { \
		dir=$$(go mod download -json golang.org/x/vulndb@latest | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && \
		[ -n "$$dir" ] && db=file://$$dir/data/osv; } || exit; \
	vulnerable=; for dir in $(filter-out e2e/gateways,$(MODULES)); do \
		echo "$$dir:" && export GOOS= GOARCH= && \
		if [ $$dir = module ]; then GOOS=wasip1 GOARCH=wasm; fi && \
		$(VULNS) -db "$$db" -C $$dir -test ./... || vulnerable="$$vulnerable $$dir"; done; \
	[ -z "$$vulnerable" ] || { echo "make vulnerabilities: see what is said of$$vulnerable" >&2; exit 1; }

.PHONY: format
format: $(LINTER) ## Format the code
	root=$$PWD && for dir in $(MODULES); do \
		(cd $$dir && "$$root/$(LINTER)" fmt --config "$$root/.golangci.yml" ./...) || exit; done

.PHONY: generate
generate: ## Generate the schema, the fields' tables, the public suffixes
	go generate ./...

.PHONY: tidy
tidy: ## Bring every go.mod up to date
	for dir in $(MODULES); do go -C $$dir mod tidy || exit; done

.PHONY: check
check: ## Fail if generate, tidy or format would change what is there
	@MAKE='$(MAKE)' tools/check

# Built for this machine once, so that they can also check code for another.
$(LINTER): package = $(GOLANGCI_LINT)
$(ACTIONS): package = $(ACTIONLINT)
$(VULNS): package = $(GOVULNCHECK)
$(VERIFIER): package = $(COSIGN)
$(LINTER) $(ACTIONS) $(VULNS) $(VERIFIER):
	@echo 'building $(package), which may take a few minutes'
	GOBIN="$$PWD/$(@D)" go install $(package)
	mv $(@D)/$(notdir $(firstword $(subst @, ,$(package)))) $@

.PHONY: bench
bench: build envoy wabt ## Measure what CORS costs in Envoy; BENCHFLAGS=-help tells more
	@go -C bench build -o ../build/bench/bench .
	@go -C bench test -c -o ../build/bench/bench.test .
	@GOOS=wasip1 GOARCH=wasm go -C bench build -buildmode=c-shared -trimpath -ldflags='-s -w' \
		-o ../build/bench/emptygo.wasm ./emptygo
	@build/bench/bench $(BENCHFLAGS)

# Every fuzz target, as folder of the go.mod:package:name. A test of internal/layers knows if one is missing.
FUZZ := \
	.:cors:FuzzDecide \
	.:cors:FuzzIntent \
	.:config:FuzzParse \
	.:config:FuzzDuration \
	.:config:FuzzSuggestions \
	.:config:FuzzJSON \
	.:config:FuzzTimes \
	.:internal/origin:FuzzOrigin \
	.:internal/origin:FuzzToASCII \
	.:internal/origin:FuzzAutomaton \
	.:internal/origin:FuzzGrammar \
	.:internal/manifest:FuzzFind \
	.:internal/convert:FuzzConvert \
	.:internal/convert:FuzzMatchers \
	.:internal/capture:FuzzCurl \
	.:internal/capture:FuzzHAR \
	.:internal/render:FuzzManifest \
	.:demo/engine:FuzzCall \
	.:match:FuzzLookup \
	.:filter:FuzzSource \
	.:filter:FuzzMaxAge \
	.:filter:FuzzLookups \
	.:filter:FuzzCaches \
	e2e:wazero:FuzzModule \
	cmd/cors-policyd:internal/policies:FuzzRows \
	cmd/cors-policyd:internal/server:FuzzHTTP

.PHONY: fuzz
fuzz: build ## Fuzz each target for FUZZTIME (30s); FUZZ=.:cors:FuzzIntent fuzzes one
	@for target in $(FUZZ); do \
		set -- $$(echo "$$target" | tr : ' ') && echo "$$3 of $$2" && \
		go -C "$$1" test -run '^$$' -fuzz "^$$3\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $(FUZZFLAGS) "./$$2" || exit; \
	done

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf build

.PHONY: envoy
envoy:
	@tools/install envoy $(ENVOY_VERSION)

.PHONY: chromium
chromium:
	@tools/install chromium

.PHONY: curl
curl:
	@tools/install curl

.PHONY: databases
databases:
	@tools/install postgresql
	@tools/install mariadb

.PHONY: firefox
firefox:
	@tools/install firefox

.PHONY: openssl
openssl:
	@tools/install openssl

.PHONY: prometheus
prometheus:
	@tools/install prometheus

.PHONY: shellcheck
shellcheck:
	@tools/install shellcheck

.PHONY: systemd
systemd:
	@tools/install systemd

.PHONY: wabt
wabt:
	@tools/install wabt

.PHONY: wasmtime
wasmtime:
	@tools/install wasmtime $(WASMTIME_VERSION)
