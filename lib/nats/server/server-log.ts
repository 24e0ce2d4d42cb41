// Owns turning a nats-server's log into one clause that a user can act on. Never changes the log.
import { open, stat } from "node:fs/promises";

/** A log, from the moment it was opened on. */
export interface ServerLog {
  /** Says in one clause why the server ended, from what it has logged since. */
  failure(): Promise<string>;
}

/** More than a start that fails ever writes. */
const MAX_READ_BYTES = 256 * 1024;

/** Remembers where the log ends now, so that an earlier run's failure is not told again. */
export async function openServerLog(path: string): Promise<ServerLog> {
  const start = await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
  return { failure: async () => explainServerLog(await readFrom(path, start)) };
}

/** Finds the cause of a server's end in the lines it logged. */
export function explainServerLog(text: string): string {
  const taken = /listen \S+ (\S+): bind: address already in use/.exec(text)?.[1];
  if (taken !== undefined) return `could not listen on ${taken}: the address is already in use`;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const cause = lines.findLast((line) => /\[FTL\]|^nats-server: |^panic: |^fatal error: /.test(line));
  const said = cause ?? lines.findLast((line) => line.includes("[ERR]"));
  if (said === undefined) return "ended during its start without saying why";
  return `ended during its start: ${said.replace(/^.*\[(?:FTL|ERR)\] |^nats-server: /, "").trim()}`;
}

async function readFrom(path: string, start: number): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return "";
  try {
    const { size } = await file.stat();
    // A shorter file was rotated; what is in it is all new.
    const from = size < start ? 0 : Math.max(start, size - MAX_READ_BYTES);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - from), position: from });
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}
