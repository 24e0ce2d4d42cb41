// A nats-server of the benchmark's own: fresh folder, default settings (one replica, the server's default sync_interval).

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import { startNatsServer } from "../../lib/nats/server/start-server.ts";

/** A running server. Disposing it removes its data. */
export interface BenchNats extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** Starts a server on a free port. */
export async function openBenchNats(environment: Readonly<Record<string, string | undefined>>): Promise<BenchNats> {
  const { binary } = await findNatsServer({ environment });
  const dataDir = await mkdtemp(join(tmpdir(), "mycel-bench-"));
  try {
    const server = await startNatsServer({ binary, dataDir });
    return {
      url: server.url,
      pid: server.pid,
      [Symbol.asyncDispose]: async () => {
        await server.killNow();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}
