# pgseal's everyday commands. Each installs what it needs and is missing.

GO      ?= go
ARGS    ?=
MODULES := . integration bench
FUZZTIME ?= 1m
ALL_POSTGRES := 14 15 16 17 18
# Long tests of what ends before a session reaches its engine: once is enough.
NO_ENGINE := ^(TestNoTimeOfALoginTells|TestAThousandReloadsOfAccessRules)

# The release of Go that go.mod names. A go command that is told not to look for
# it (GOTOOLCHAIN=local) takes it from here too; make GOTOOLCHAIN=local uses the
# one that is installed.
export GOTOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath

.PHONY: build fips demo test soak test-matrix compatibility lint vuln fmt fuzz bench bench-quick clean

build: ## the static binary, bin/pgseal
	$(BUILD) -o bin/pgseal ./cmd/pgseal

fips: ## the same with Go's FIPS 140-3 module, and the tests with it
	GOFIPS140=v1.0.0 $(BUILD) -o bin/pgseal-fips ./cmd/pgseal
	GOFIPS140=v1.0.0 $(GO) test ./...

demo: build ## show it with a throwaway PostgreSQL; ARGS=--once leaves after the show
	@scripts/install-postgres.sh any
	@bin/pgseal demo $(ARGS)

# sum runs tests and keeps what it saw under a name, for the list of the slowest.
SEEN := $(CURDIR)/.cache/tests
sum = $(CURDIR)/bin/gotestsum --format pkgname --format-icons text --hide-summary skipped --jsonfile $(SEEN)/$(1).json --

test: bin/gotestsum ## every test of all modules, with the race detector
	scripts/install-test-tools.sh
	@rm -rf $(SEEN) && mkdir -p $(SEEN) && date +%s >$(SEEN)/began
	(cd bench && $(call sum,bench) -race ./...) & failed=0; $(call sum,root) -race ./... || failed=1; \
		wait $$! && exit $$failed # the bench's tests wait most of the time
	cd integration && $(call sum,integration) -race -timeout 45m ./...
	$(call sum,plain) -run Allocates ./internal/engine # the race detector allocates itself
	$(call sum,model) -run TestClientsCannotTell ./proxy/relay # and is too slow for a million messages
	$(call sum,notlspeek) -tags pgseal_notlspeek -skip '$(NO_ENGINE)' ./internal/engine ./proxy # as with a Go yet unknown
	PGSEAL_TEST_ENGINE=portable $(call sum,portable) -race -skip '$(NO_ENGINE)' ./proxy # as where there is no epoll
	@echo "== the slowest"; cat $(SEEN)/*.json | bin/gotestsum tool slowest --num 10 --threshold 1s
	@echo "== all tests took $$(($$(date +%s) - $$(cat $(SEEN)/began))) s"

test-matrix: ## the integration tests on PostgreSQL 14 to 18
	scripts/install-test-tools.sh $(ALL_POSTGRES)
	cd integration && PGSEAL_TEST_POSTGRES="$(ALL_POSTGRES)" $(GO) test -race -timeout 60m ./...

compatibility: ## drivers on PostgreSQL 14 to 18, their table in docs/compatibility.md
	scripts/install-test-tools.sh $(ALL_POSTGRES)
	cd integration && PGSEAL_TEST_UPDATE=1 PGSEAL_TEST_POSTGRES="$(ALL_POSTGRES)" $(GO) test -timeout 60m -run TestDrivers .

SOAK ?= 30m
soak: ## the random sessions of make test for SOAK with each version: relay on the model, model and pgseal on PostgreSQL
	scripts/install-test-tools.sh
	PGSEAL_SOAK=$(SOAK) $(GO) test -count=1 -timeout 0 -run TestClientsCannotTell ./proxy/relay
	cd integration && PGSEAL_SOAK=$(SOAK) $(GO) test -count=1 -timeout 0 -v -run 'TestWhatManyClientsRead|TestTheModel' .

lint: bin/staticcheck ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run make fmt"; exit 1; }
	@set -e; for m in $(MODULES); do echo "== vet, staticcheck $$m"; (cd $$m && $(GO) vet ./... && $(CURDIR)/bin/staticcheck ./...); done

vuln: bin/govulncheck ## known vulnerabilities in what the code reaches, Go's own library among it
	@scripts/vuln.sh $(ARGS)

bin/staticcheck: tools/go.mod
	cd tools && $(GO) build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

bin/govulncheck: tools/go.mod
	cd tools && $(GO) build -o ../bin/govulncheck golang.org/x/vuln/cmd/govulncheck

bin/gotestsum: tools/go.mod
	cd tools && $(GO) build -o ../bin/gotestsum gotest.tools/gotestsum

fmt:
	gofmt -w $$(git ls-files '*.go')

fuzz: ## every fuzz target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME)

bin/pgseal-bench: FORCE
	cd bench && $(GO) build -o ../bin/pgseal-bench ./cmd/pgseal-bench

bench: bin/pgseal-bench ## pgseal beside direct connections, PgBouncer and HAProxy
	scripts/install-postgres.sh any
	scripts/install-bench-peers.sh
	bin/pgseal-bench run $(ARGS)

bench-quick: ## the same in under 4 minutes
	@$(MAKE) bench ARGS="--quick $(ARGS)"

FORCE:

clean:
	rm -rf bin
