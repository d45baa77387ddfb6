# One image for all processes: docker run IMAGE api|worker|migrate|provision|emulators (scripts/container.sh).

FROM node:24.21-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/production-packages.mjs scripts/
RUN npm ci --omit=dev --no-audit --no-fund && node scripts/production-packages.mjs

FROM node:24.21-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY nest-cli.json tsconfig.json .swcrc prisma.config.ts stowage.features.ts ./
COPY scripts scripts
COPY prisma prisma
COPY libs libs
COPY apps apps
# Of the sources, the image needs only the migrations of features.
RUN npm run build && find libs -mindepth 2 -maxdepth 2 ! -name prisma -exec rm -r {} +

FROM node:24.21-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
# Data of the emulators and spooled files of a worker. No other folder is written to.
RUN mkdir /data && chown node:node /data
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/libs libs
COPY package.json stowage.features.ts ./
COPY prisma/migrations prisma/migrations
COPY scripts/container.sh scripts/command.ts scripts/environment.ts scripts/migrate.ts scripts/provision.ts scripts/
USER node
EXPOSE 3000
# For the api and the worker; turn it off for other commands.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.WORKER_PORT || process.env.PORT || 3000}/health/live`, { signal: AbortSignal.timeout(4000) }).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/app/scripts/container.sh"]
CMD ["api"]
