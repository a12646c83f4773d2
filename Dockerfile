# The server's container image. `cargo xtask image` builds it with the files that it made itself; without Rust and
# Node.js on the machine, `docker build .` makes them here.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1-trixie AS builder
ARG BUILDARCH
ARG TARGETARCH
RUN case "$BUILDARCH-$TARGETARCH" in \
      amd64-arm64) cross=gcc-aarch64-linux-gnu ;; \
      arm64-amd64) cross=gcc-x86-64-linux-gnu ;; \
    esac \
    && apt-get update \
    && apt-get install --yes --no-install-recommends musl-tools nodejs npm $cross
WORKDIR /source
COPY . .
RUN cargo xtask image --arch "$TARGETARCH" --files /files

# In place of this stage, `cargo xtask image` gives a folder (--build-context).
FROM scratch AS files
COPY --from=builder /files /

FROM scratch
LABEL org.opencontainers.image.title="Blindscore" \
      org.opencontainers.image.description="Scores models on data that it can't read" \
      org.opencontainers.image.source="https://github.com/blindscore/blindscore" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=files /root /
COPY --from=files --chown=65532:65532 /data /var/lib/blindscore
USER 65532:65532
ENV BLINDSCORE_BIND=0.0.0.0:8080 \
    BLINDSCORE_DATA_DIR=/var/lib/blindscore
VOLUME /var/lib/blindscore
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/blindscore-server", "healthy"]
ENTRYPOINT ["/blindscore-server"]
CMD ["serve"]
