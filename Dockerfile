# Two images from one build: `lattice` (node, gateway, command line) and `example` (a service of the demo mesh).
#
#   docker build --target lattice -t latticeforge/lattice .
#   docker build --target example -t latticeforge/example .
FROM swift:6.3-bookworm AS build
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libnats-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies first, so that a change of the sources does not fetch them again.
COPY Package.swift ./
RUN swift package resolve
COPY . .
# Without what only a debugger reads; the names of functions stay for backtraces.
RUN swift build -c release --static-swift-stdlib --product lattice \
    && swift build -c release --static-swift-stdlib --product example-service \
    && mkdir -p /out \
    && strip -g -o /out/lattice .build/release/lattice \
    && strip -g -o /out/example-service .build/release/example-service

# libnats at run time, and what a health check asks with; the user owns nothing but the data.
FROM debian:bookworm-slim AS base
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libnats3.4 ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin lattice \
    && install -d -o lattice -g lattice -m 0700 /data
USER lattice
WORKDIR /data

FROM base AS lattice
COPY --from=build /out/lattice /usr/local/bin/lattice
VOLUME /data
# 8501 HTTP, 4318 and 4317 OTLP, 9411 Zipkin, 16686 Jaeger; 8080 and 8502 are the gateway's.
EXPOSE 8501 4318 4317 9411 16686 8080 8502
STOPSIGNAL SIGTERM
ENTRYPOINT ["lattice"]
CMD ["serve", "--help"]

FROM base AS example
COPY --from=build /out/example-service /usr/local/bin/example-service
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["example-service"]
