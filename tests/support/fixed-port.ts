// Owns choosing a TCP port that stays one process's own over its restarts: below the range from which the system
// hands out ports by itself, so that no outgoing connection takes it while its owner is down.
import { once } from "node:events";
import { createServer } from "node:net";

/** Below Linux's and macOS's ranges of ephemeral ports, above what services usually listen on. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;

/** Ports that this process gave out; two callers that have not begun to listen yet must not get the same one. */
const given = new Set<number>();

/** A port on 127.0.0.1 on which nothing listens at this moment. Another process may still take it: be ready to ask again. */
export async function fixedPort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
