// Owns the order in which a nats-server is looked for, and the one message when there is none.
// A server that already runs (NATS_URL) is the caller's business: nothing is looked for then.
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { cachedBinary, type InstalledNatsServer } from "./cache-folder.ts";
import { installDebianPackage } from "./debian-package.ts";
import { probeNatsServer } from "./probe.ts";
import { installRelease, type NatsServerRelease } from "./release-archive.ts";
import { formatNatsServerVersion, MINIMUM_NATS_SERVER } from "./version.ts";

/** Where a nats-server came from. */
export type NatsServerSource = "NATS_SERVER_BIN" | "PATH" | "cache" | "release" | "debian";

/** A nats-server that runs on this machine and is new enough. */
export interface FoundNatsServer extends InstalledNatsServer {
  readonly source: NatsServerSource;
}

/** Where {@link findNatsServer} looks. */
export interface FindNatsServerOptions {
  /** The caller's environment: `NATS_SERVER_BIN`, `PATH` and the proxy variables are read from it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder that keeps a downloaded server. Default `<project>/.cache/nats-server`. */
  readonly cacheDir?: string | undefined;
  /** Gets one line for each step that takes time or that a user should know of; nothing when all is there. */
  readonly report?: ((line: string) => void) | undefined;
  /** Upstream's release to take; the pinned one if unset. */
  readonly release?: NatsServerRelease | undefined;
  /** Where apt's source lists lie; `/etc/apt` if unset. */
  readonly aptDir?: string | undefined;
  /** Ends the search, downloads included. */
  readonly signal?: AbortSignal | undefined;
}

/** The project's cache folder. */
const DEFAULT_CACHE_DIR: string = resolve(dirname(fileURLToPath(import.meta.url)), "../../../.cache/nats-server");

/** No usable nats-server was found; the message names each thing tried, why it failed, and how to get one by hand. */
export class NatsServerMissing extends Error {
  override readonly name = "NatsServerMissing";
}

/**
 * Finds a nats-server, downloading one if this machine has none: `NATS_SERVER_BIN`, `PATH`, the cache folder,
 * upstream's release archive, Debian's package. The first usable one wins. A `NATS_SERVER_BIN` that is not usable is
 * an error at once, because the user asked for that one. Rejects with {@link NatsServerMissing}.
 */
export async function findNatsServer(options: FindNatsServerOptions): Promise<FoundNatsServer> {
  const { environment, cacheDir = DEFAULT_CACHE_DIR, signal } = options;
  const report = options.report ?? ((): void => undefined);

  const chosen = environment["NATS_SERVER_BIN"];
  if (chosen !== undefined && chosen !== "") {
    const probe = await probeNatsServer(resolve(chosen));
    if (probe.kind === "usable") return { binary: resolve(chosen), version: probe.version, source: "NATS_SERVER_BIN" };
    throw new NatsServerMissing(`NATS_SERVER_BIN cannot be used: ${probe.reason}`);
  }

  const tried: string[] = [];
  for (const place of [
    { source: "PATH", binary: await onPath(environment["PATH"]) },
    { source: "cache", binary: cachedBinary(cacheDir) },
  ] as const) {
    if (place.binary === undefined) {
      tried.push("PATH: no nats-server on it");
      continue;
    }
    const probe = await probeNatsServer(place.binary);
    if (probe.kind === "usable") return { binary: place.binary, version: probe.version, source: place.source };
    tried.push(`${place.source}: ${probe.reason}`);
    if (place.source === "PATH") report(`nats-server: ${probe.reason}, looking further`);
  }

  for (const { source, label, install } of [
    {
      source: "release",
      label: "upstream's release",
      install: async () => await installRelease({ cacheDir, environment, report, release: options.release, signal }),
    },
    {
      source: "debian",
      label: "Debian's package",
      install: async () => await installDebianPackage({ cacheDir, report, aptDir: options.aptDir, signal }),
    },
  ] as const) {
    signal?.throwIfAborted();
    try {
      const installed = await install();
      report(`nats-server: installed ${installed.version} from ${label} into ${cacheDir}`);
      return { ...installed, source };
    } catch (error) {
      signal?.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      report(`nats-server: not from ${label}: ${reason}`);
      tried.push(`${label}: ${reason}`);
    }
  }
  throw new NatsServerMissing(missingMessage(tried, cachedBinary(cacheDir)));
}

async function onPath(path: string | undefined): Promise<string | undefined> {
  for (const folder of (path ?? "").split(delimiter)) {
    // An empty entry means the working directory; running a binary from there by accident is a classic trap.
    if (folder === "") continue;
    const binary = join(folder, "nats-server");
    const executable = await access(binary, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return binary;
  }
  return undefined;
}

function missingMessage(tried: readonly string[], cached: string): string {
  const minimum = formatNatsServerVersion(MINIMUM_NATS_SERVER);
  return [
    `No nats-server ${minimum} or newer was found. Tried:`,
    ...tried.map((line) => `  - ${line}`),
    "Get it by hand in one of these ways:",
    "  - download it from https://github.com/nats-io/nats-server/releases and set NATS_SERVER_BIN to the binary,",
    `    or copy the binary to ${cached}`,
    "  - macOS: brew install nats-server",
    "  - use a running server with JetStream: set NATS_URL, e.g. NATS_URL=nats://127.0.0.1:4222",
  ].join("\n");
}
