# What a person types. `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help run test build bench compose-check format format-check coverage generate generate-check clean manual dependencies \
	test-dependencies

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

dependencies: ## Install what is missing: libnats and nats-server, by apt
	@scripts/dependencies.sh

test-dependencies:
	@scripts/dependencies.sh test

build: dependencies ## Build a release
	swift build -c release --product lattice
	swift build -c release --product lattice-bench

run: dependencies ## The story of a small mesh, with real processes; DURATION=90s ends by itself
	swift build -c release --product lattice
	swift build -c release --product example-service
	@scripts/demo.sh

test: test-dependencies ## Run every test, the ones against a real nats-server too
	swift build --build-tests
	swift test --skip-build --no-parallel

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
	swift test --enable-code-coverage --no-parallel
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
