# tests/long/dockerfile.test.ts tries the steps of this file in an empty folder; no image has been built from it yet.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
COPY tests/setup.mjs tests/setup.mjs
RUN node tests/setup.mjs
COPY . .
RUN node tests/setup.mjs --build && npm prune --omit=dev --no-audit --no-fund

FROM debian:12-slim
RUN useradd --system --uid 10001 --home-dir /data sallyport && mkdir -p /data && chown sallyport /data
WORKDIR /app
COPY --from=build /app /app
USER sallyport
ENV SALLYPORT_DATA=/data
VOLUME /data
EXPOSE 8443
ENTRYPOINT ["/app/node_modules/.bin/node", "/app/main.ts"]
CMD ["up"]
