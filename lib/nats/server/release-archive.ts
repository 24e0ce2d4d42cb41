// Owns getting nats-server from upstream's release on GitHub: which version, which file for this platform, and the
// check against a digest that stands in this file. Runs nothing that has not passed the check.
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { installIntoCache, type InstalledNatsServer } from "./cache-folder.ts";
import { download } from "./download.ts";
import { run } from "./run.ts";

/** One release of nats-server and the SHA-256 of its archives, by `<os>-<arch>` in upstream's names. */
export interface NatsServerRelease {
  /** Without the `v`. */
  readonly version: string;
  /** Folder of the archives, without a closing slash. */
  readonly baseUrl: string;
  readonly sha256: Readonly<Record<string, string>>;
}

/**
 * The pinned release. The Linux digests are those that upstream's own container images of 2.15.0 are built with
 * (nats-io/nats-docker, 2.15.x/alpine3.22/Dockerfile); the macOS ones are those of the release's SHA256SUMS as two
 * unrelated public projects recorded them, which agree with each other and with upstream on Linux. Change the version
 * and all digests together, from the new release's SHA256SUMS.
 */
const PINNED_RELEASE: NatsServerRelease = {
  version: "2.15.0",
  baseUrl: "https://github.com/nats-io/nats-server/releases/download/v2.15.0",
  sha256: {
    "linux-amd64": "5d2c51caca950333aba84911df7d377f826f3a59ec36061c6539105084f65c92",
    "linux-arm64": "cdc208f5a3f42963a52b6ab06ef65626bb870315dc936e26ba571780c6351112",
    "darwin-amd64": "5bd8b59ca5bf93fab3da2c5843cf564cd6e2e291e22ae3b861746e7ebe259b95",
    "darwin-arm64": "e1c4e22d70bd44abfa0bcb3c16f7cf0c66f648c2e728c58924e8a1ce88913cc8",
  },
};

/** How {@link installRelease} works. */
export interface ReleaseOptions {
  readonly cacheDir: string;
  /** Default: the pinned one. */
  readonly release?: NatsServerRelease | undefined;
  /** Where proxy variables (`HTTPS_PROXY`, `NO_PROXY`, …) are read from. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

const UNPACK_TIMEOUT_MS = 60_000;
/** The archives have 7 MB; anything much larger is not one. */
const MAX_ARCHIVE_BYTES = 64 * 1024 * 1024;

/** Names this machine as upstream's files do, e.g. `linux-amd64`. */
export function releasePlatform(platform: NodeJS.Platform, arch: string): string {
  return `${platform}-${arch === "x64" ? "amd64" : arch}`;
}

/**
 * Downloads the pinned archive, checks its SHA-256 and installs the binary into the cache folder. Rejects with one
 * line when there is none for this platform, the host cannot be reached within seconds, or the digest differs.
 */
export async function installRelease(options: ReleaseOptions): Promise<InstalledNatsServer> {
  const release = options.release ?? PINNED_RELEASE;
  const platform = releasePlatform(process.platform, process.arch);
  const expected = release.sha256[platform];
  if (expected === undefined) throw new Error(`no digest is pinned for ${platform}`);

  const name = `nats-server-v${release.version}-${platform}`;
  const url = `${release.baseUrl}/${name}.tar.gz`;
  options.report(`nats-server: downloading ${url}`);
  const { environment, signal } = options;
  const archive = await download(url, { maxBytes: MAX_ARCHIVE_BYTES, environment, signal });
  const actual = createHash("sha256").update(archive).digest("hex");
  if (actual !== expected) throw new Error(`${name}.tar.gz has SHA-256 ${actual}, expected ${expected}`);

  const room = await mkdtemp(join(tmpdir(), "mycel-nats-"));
  try {
    const file = join(room, "nats-server.tar.gz");
    await writeFile(file, archive);
    await run("tar", ["-xzf", file, "-C", room, `${name}/nats-server`], { timeoutMs: UNPACK_TIMEOUT_MS, signal });
    return await installIntoCache(join(room, name, "nats-server"), options.cacheDir);
  } finally {
    await rm(room, { recursive: true, force: true });
  }
}
