# syntax=docker/dockerfile:1

FROM golang:1.27.4-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=${VERSION}" -o /out/pgseal ./cmd/pgseal \
    && mkdir -p /out/etc/pgseal /out/run/pgseal

FROM scratch
# The system's roots, for sslrootcert: system.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/pgseal /usr/bin/pgseal
COPY --from=build --chown=65532:65532 /out/etc/pgseal /etc/pgseal
COPY --from=build --chown=65532:65532 /out/run/pgseal /run/pgseal
USER 65532:65532
EXPOSE 6432
# SIGTERM, Docker's default, drains: give it time with --stop-timeout or
# terminationGracePeriodSeconds.
ENTRYPOINT ["/usr/bin/pgseal"]
CMD ["serve", "--config", "/etc/pgseal/config.yaml"]
