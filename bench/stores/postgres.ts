// A PostgreSQL server of the benchmark's own: a fresh cluster, one database, no password, loopback only.
//
// It refuses to run as root, so root starts it as another user.

import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import process from "node:process";
import { run } from "../../lib/nats/server/run.ts";
import { BenchError } from "../support/bench-error.ts";
import type { Durability } from "../support/contender.ts";
import { type Account, firstBinary, onFreePort, startStore, type Store } from "./store-process.ts";

/** A running server. */
export interface Postgres extends Store {
  readonly connectionString: string;
}

/** Where Debian keeps the programs of each version, which are not on the PATH. */
const DEBIAN_VERSIONS = "/usr/lib/postgresql";
const COMMAND_TIMEOUT_MS = 60_000;
const USER = "postgres";
/** Debian's user without rights, where there is no `postgres`. */
const NOBODY: Account = { uid: 65_534, gid: 65_534 };

/** PostgreSQL's `synchronous_commit` that loses as little: off loses at most three times `wal_writer_delay` of 200 ms. */
export const SYNCHRONOUS_COMMIT: Readonly<Record<Durability, string>> = { second: "off", always: "on" };

/** What the machine lacks for it, as one line with what to install; undefined if nothing. */
export async function lackingPostgres(versionsDir: string = DEBIAN_VERSIONS): Promise<string | undefined> {
  const folder = await findPostgres(versionsDir);
  return folder === undefined ? "no PostgreSQL server; on Debian: apt-get install postgresql" : undefined;
}

/** Starts a server with an empty database. Rejects with BenchError; then nothing of it is left. */
export async function openPostgres(durability: Durability): Promise<Postgres> {
  const folder = await findPostgres(DEBIAN_VERSIONS);
  if (folder === undefined) throw new BenchError((await lackingPostgres()) ?? "no PostgreSQL server");
  const told = await run(`${folder}/postgres`, ["--version"], { timeoutMs: COMMAND_TIMEOUT_MS });
  const version = /\d+(\.\d+)*/.exec(told)?.[0] ?? "unknown";
  const account = process.getuid?.() === 0 ? await otherAccount() : undefined;
  const store = await onFreePort(() =>
    startStore(version, account, async (dir, port) => {
      const data = `${dir}/data`;
      await initialize(`${folder}/initdb`, data, account);
      return {
        name: "postgres",
        binary: `${folder}/postgres`,
        args: ["-D", data, ...settings(port, durability).flatMap((setting) => ["-c", setting])],
        readyWords: "database system is ready to accept connections",
        endSignal: "SIGQUIT",
        account,
      };
    }),
  );
  return { ...store, connectionString: `postgres://${USER}@127.0.0.1:${store.port}/postgres` };
}

function settings(port: number, durability: Durability): readonly string[] {
  return [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    "unix_socket_directories=",
    "fsync=on",
    `synchronous_commit=${SYNCHRONOUS_COMMIT[durability]}`,
    // The defaults are for the smallest machines; these keep the tables in memory and checkpoints out of a measurement.
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=15min",
  ];
}

/** The folder with the programs of the newest version. */
async function findPostgres(versionsDir: string): Promise<string | undefined> {
  const versions = await readdir(versionsDir).catch(() => []);
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  const binary = await firstBinary(newestFirst.map((version) => `${versionsDir}/${version}/bin/postgres`));
  return binary?.slice(0, -"/postgres".length);
}

async function otherAccount(): Promise<Account> {
  const id = async (option: string): Promise<number> =>
    Number(await run("id", [option, USER], { timeoutMs: COMMAND_TIMEOUT_MS }));
  return await Promise.all([id("-u"), id("-g")]).then(
    ([uid, gid]) => ({ uid, gid }),
    () => NOBODY,
  );
}

async function initialize(initdb: string, data: string, account: Account | undefined): Promise<void> {
  const args = ["-D", data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
  await new Promise<void>((done, failed) => {
    const options = { ...account, cwd: "/", env: { LC_ALL: "C" }, timeout: COMMAND_TIMEOUT_MS };
    execFile(initdb, args, options, (error, _stdout, stderr) => {
      if (error === null) done();
      else failed(new BenchError(`initdb failed: ${stderr.trim().replaceAll("\n", " | ") || error.message}`));
    });
  });
}
