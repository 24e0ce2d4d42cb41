// A nats-server of the benchmark's own: fresh folder, one replica, syncing as a durability asks for.

import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import { startNatsServer } from "../../lib/nats/server/start-server.ts";
import type { Durability } from "./contender.ts";
import { cleanUpOnExit } from "./left-behind.ts";

/** A running server. Disposing it removes its data. */
export interface BenchNats extends AsyncDisposable {
  readonly url: string;
  /** Where its monitoring pages are. */
  readonly monitorUrl: string;
  readonly pid: number;
  /** Its durability as its settings call it. */
  readonly setting: string;
}

/** What the durabilities are to nats-server. */
const SYNC_INTERVALS: Readonly<Record<Durability, string>> = { second: "1s", always: "always" };

/** A server that was just killed may still hold what it wrote. */
const REMOVAL = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 } as const;

/** Starts a server on a free port. */
export async function openBenchNats(
  environment: Readonly<Record<string, string | undefined>>,
  durability: Durability = "second",
): Promise<BenchNats> {
  const { binary } = await findNatsServer({ environment });
  const dataDir = await mkdtemp(join(tmpdir(), "mycel-bench-"));
  const onExit = cleanUpOnExit(() => rmSync(dataDir, REMOVAL));
  const syncInterval = SYNC_INTERVALS[durability];
  try {
    const server = await startNatsServer({ binary, dataDir, syncInterval });
    const endsFirst = cleanUpOnExit(() => process.kill(server.pid, "SIGKILL"));
    return {
      url: server.url,
      monitorUrl: server.monitorUrl,
      pid: server.pid,
      setting: `R1, sync_interval ${syncInterval}`,
      [Symbol.asyncDispose]: async () => {
        endsFirst[Symbol.dispose]();
        await server.killNow();
        await rm(dataDir, REMOVAL);
        onExit[Symbol.dispose]();
      },
    };
  } catch (error) {
    await rm(dataDir, REMOVAL);
    onExit[Symbol.dispose]();
    throw error;
  }
}
