// Owns getting nats-server out of Debian's archive without root and without touching the machine's apt: its mirror
// and keys are borrowed, all state is private and thrown away. Never installs a package into the system.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { installIntoCache, type InstalledNatsServer } from "./cache-folder.ts";
import { type AptSourceFile, debianSource, findDebianMirror } from "./debian-sources.ts";
import { run } from "./run.ts";

/** The first suite whose nats-server is new enough; its binary runs on bookworm unchanged (tried with 2.15.1). */
const SUITE = "forky";

/** Fetching a 10 MB package index over a slow line; apt has its own, shorter limits on a silent mirror. */
const APT_TIMEOUT_MS = 300_000;
const UNPACK_TIMEOUT_MS = 60_000;

/** How {@link installDebianPackage} works. */
export interface DebianPackageOptions {
  readonly cacheDir: string;
  /** Where apt's source lists lie; `/etc/apt` if unset. */
  readonly aptDir?: string | undefined;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads Debian's package `nats-server` (checked by apt against the archive's signature), unpacks it with `dpkg -x`
 * and installs the binary into the cache folder. Works as any user. Rejects with one line when this machine has no
 * apt, no Debian source, no way to the mirror, or the package does not run here.
 */
export async function installDebianPackage(options: DebianPackageOptions): Promise<InstalledNatsServer> {
  const mirror = findDebianMirror(await readAptSources(options.aptDir ?? "/etc/apt"));
  if (mirror === undefined) throw new Error("apt on this machine has no source of the Debian archive");

  const room = await mkdtemp(join(tmpdir(), "mycel-apt-"));
  try {
    const apt = await privateApt(room, debianSource(mirror, SUITE), options.signal);
    options.report(`nats-server: fetching Debian's package list (suite ${SUITE}, ${mirror.uri})`);
    await apt(["update"]);
    options.report("nats-server: downloading Debian's package");
    await apt(["download", "nats-server"]);
    const deb = (await readdir(room)).find((name) => name.endsWith(".deb"));
    if (deb === undefined) throw new Error("apt-get download left no package");
    const unpacked = join(room, "unpacked");
    await run("dpkg", ["-x", join(room, deb), unpacked], { timeoutMs: UNPACK_TIMEOUT_MS, signal: options.signal });
    const binary = [join(unpacked, "usr/sbin/nats-server"), join(unpacked, "usr/bin/nats-server")].find(existsSync);
    if (binary === undefined) throw new Error(`${deb} holds no nats-server binary`);
    return await installIntoCache(binary, options.cacheDir);
  } finally {
    await rm(room, { recursive: true, force: true });
  }
}

async function readAptSources(aptDir: string): Promise<AptSourceFile[]> {
  const parts = join(aptDir, "sources.list.d");
  const names = existsSync(parts) ? (await readdir(parts)).filter((name) => /\.(list|sources)$/.test(name)) : [];
  const paths = [join(aptDir, "sources.list"), ...names.map((name) => join(parts, name))].filter(existsSync);
  return await Promise.all(paths.map(async (path) => ({ path, text: await readFile(path, "utf8") })));
}

/** Returns an apt-get whose lists, caches, sources and settings all lie in `room`. */
async function privateApt(
  room: string,
  source: string,
  signal: AbortSignal | undefined,
): Promise<(args: readonly string[]) => Promise<void>> {
  await Promise.all([
    mkdir(join(room, "state/lists/partial"), { recursive: true }),
    mkdir(join(room, "cache/archives/partial"), { recursive: true }),
    mkdir(join(room, "parts"), { recursive: true }),
    writeFile(join(room, "mycel.sources"), source),
    writeFile(join(room, "status"), ""),
  ]);
  const machine = await run("apt-config", ["dump"], { timeoutMs: UNPACK_TIMEOUT_MS, signal });
  const config = [
    // Proxies, time limits and date checks are the machine's own; its hooks and index targets must not run for us.
    ...machine.split("\n").filter((line) => line.startsWith("Acquire::") && !line.startsWith("Acquire::IndexTargets")),
    'Acquire::Languages "none";',
    'Acquire::http::Timeout "15";',
    'Acquire::https::Timeout "15";',
    `Dir::State "${room}/state";`,
    `Dir::State::status "${room}/status";`,
    `Dir::Cache "${room}/cache";`,
    `Dir::Etc::main "/dev/null";`,
    `Dir::Etc::parts "${room}/parts";`,
    `Dir::Etc::sourcelist "${room}/mycel.sources";`,
    `Dir::Etc::sourceparts "${room}/parts";`,
    `Dir::Etc::preferencesparts "${room}/parts";`,
    // As root apt would fetch as the user _apt, who may not write into a private folder.
    'APT::Sandbox::User "root";',
  ];
  const configFile = join(room, "apt.conf");
  await writeFile(configFile, config.join("\n") + "\n");
  return async (args) => {
    // APT_CONFIG, unlike --config-file, is read before the machine's own parts and can therefore replace them.
    const command = [`APT_CONFIG=${configFile}`, "LC_ALL=C", "apt-get", "-q", ...args];
    await run("env", command, { timeoutMs: APT_TIMEOUT_MS, cwd: room, signal, name: `apt-get ${args[0] ?? ""}` });
  };
}
