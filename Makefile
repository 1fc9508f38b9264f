# What a person types. `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help run test test-only nightly build programs baseline bench compose-check format format-check coverage generate \
	generate-check clean manual dependencies test-dependencies

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

dependencies: ## Install what is missing: libnats and nats-server, by apt
	@scripts/dependencies.sh

test-dependencies:
	@scripts/dependencies.sh test

build: programs ## Build a release: lattice, example-service and lattice-bench
	swift build -c release --product lattice-bench

programs: dependencies
	swift build -c release --product lattice
	swift build -c release --product example-service

baseline: dependencies ## Build the release of COMMIT (default HEAD) and keep it beside the tree, for lattice-bench --against-program
	@scripts/baseline.sh $(COMMIT)

run: programs ## The story of a small mesh, with real processes; DURATION=90s ends by itself
	@scripts/demo.sh

test: test-dependencies programs ## Run every test, on the release programs and against servers and clients of others
	swift build --build-tests
	@scripts/test.sh --skip-build

test-only: ## The same without building the release anew; FILTER=… runs a part
	swift build --build-tests
	@scripts/test.sh --skip-build $(if $(FILTER),--filter $(FILTER))

# The tests of a release build in a folder of their own: with -enable-testing the programs are not those that are shipped.
nightly: test-dependencies programs ## What takes longer: every test as a release build, 500 kills, long fuzzing; an hour or two
	swift build --build-tests -c release -Xswiftc -enable-testing --scratch-path .build-nightly
	@LATTICE_NIGHTLY=1 scripts/test.sh --skip-build -c release -Xswiftc -enable-testing --scratch-path .build-nightly

bench: build ## Every benchmark, one run each
	@scripts/bench.sh

format: ## Format the sources
	@swift format -i --configuration .swift-format $$(scripts/sources.sh)

format-check: ## Fail where a source is not formatted
	@scripts/format-check.sh

compose-check: ## Build and start docker-compose.yml, kill its leader, and say whether all is as promised; needs Docker
	@scripts/compose-check.sh

coverage: test-dependencies ## Line coverage of each module, at least 90 %
	rm -rf .build/debug/codecov
	LATTICE_PROGRAMS=.build/debug swift test --enable-code-coverage --no-parallel
	@scripts/coverage.sh

generate: ## Generate the Swift code of the schemas anew
	schemas/generate.sh

generate-check: ## Fail where the generated code is not current
	schemas/generate.sh --check

manual: build ## Write the manual page lattice.1 from the help of every command
	.build/release/lattice --experimental-dump-help | scripts/manual.py > lattice.1
	@echo "lattice.1: man ./lattice.1"

clean: ## Remove what was built
	swift package clean
