// How large the streams may get when nobody said so: by what the servers have room for, so that a stream is full, which is told and passes,
// before the disk is, which stops the broker until it is restarted. Chosen when the streams are made, and kept from then on.

import { JetStreamApiError, type JetStreamManager, type StreamConfig } from "@nats-io/jetstream";
import { nuid } from "@nats-io/nats-core";
import { TASKS_STREAM } from "../wire/subjects.ts";

/** The sizes that are tried, in bytes, from the largest: powers of two, so that operators recognise them. */
const LARGEST_BYTES: number = 2 ** 40;
const SMALLEST_BYTES: number = 2 ** 24;

/** The streams that get the size: tasks, outputs and blobs; as much again is left to timers, buckets and what else there is. */
const SHARES = 4;

/** A stream that stands while a coordinator looks for room: how much it may reserve is how much there is. Others wait meanwhile. */
const PROBE = "MYCEL_ROOM";
const PROBE_SUBJECT = "mycel.room";

/** After this long, in milliseconds, a probe belongs to a coordinator that died. */
const STALE_MS = 10_000;

const STREAM_NAME_IN_USE = 10058;
const STREAM_NOT_FOUND = 10059;
const NO_PEERS = 10005;

/** JetStream's codes for limits of an account, of a server's storage and of a server at all, and of what one stream may take. */
const NO_ROOM: ReadonlySet<number> = new Set([10002, 10047, 10023, 10122]);

/**
 * The size of the streams: that of the tasks stream if it stands, -1 if that has no limit. Else `make` makes it with the largest size at
 * which all streams fit together into what the servers have left, with a quarter to spare. Undefined if there is no room even for small
 * ones. Throws JetStreamApiError, also when another coordinator looks at the same moment: try again then.
 *
 * Only JetStream knows its limits (a server's `max_file_store` is not told to clients), so it is asked by trying.
 */
export async function settleMaxBytes(
  manager: JetStreamManager,
  replicas: number,
  make: (maxBytes: number) => Promise<void>,
): Promise<number | undefined> {
  const standing = await standingMaxBytes(manager);
  if (standing !== undefined) return standing;
  const probe = { name: PROBE, subjects: [PROBE_SUBJECT], num_replicas: replicas, description: nuid.next() };
  await manager.streams.add({ ...probe, max_bytes: 1 }).catch(async (error: unknown) => {
    if (codeOf(error) === STREAM_NAME_IN_USE) await removeStaleProbe(manager);
    throw error;
  });
  try {
    const another = await standingMaxBytes(manager);
    if (another !== undefined) return another;
    for (let bytes = LARGEST_BYTES; bytes >= SMALLEST_BYTES; bytes /= 2) {
      if (!(await mayReserve(manager, { ...probe, max_bytes: SHARES * bytes }))) continue;
      await manager.streams.update(PROBE, { ...probe, max_bytes: 1 });
      await make(bytes);
      return bytes;
    }
    return undefined;
  } finally {
    await manager.streams.delete(PROBE);
  }
}

async function standingMaxBytes(manager: JetStreamManager): Promise<number | undefined> {
  try {
    return (await manager.streams.info(TASKS_STREAM)).config.max_bytes;
  } catch (error) {
    if (codeOf(error) === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

async function mayReserve(manager: JetStreamManager, probe: Partial<StreamConfig>): Promise<boolean> {
  try {
    await manager.streams.update(PROBE, probe);
    return true;
  } catch (error) {
    if (isNoRoom(error)) return false;
    throw error;
  }
}

async function removeStaleProbe(manager: JetStreamManager): Promise<void> {
  try {
    const { created, ts } = await manager.streams.info(PROBE);
    // By the server's clock alone.
    if (Date.parse(ts ?? created) - Date.parse(created) > STALE_MS) await manager.streams.delete(PROBE);
  } catch (error) {
    // Whoever was looking is done meanwhile.
    if (codeOf(error) !== STREAM_NOT_FOUND) throw error;
  }
}

/** Whether JetStream refused a stream because it would not fit. */
export function isNoRoom(error: unknown): boolean {
  const code = codeOf(error);
  // A cluster says the same code when servers are missing, which passes.
  return NO_ROOM.has(code) || (code === NO_PEERS && error instanceof Error && /insufficient/.test(error.message));
}

function codeOf(error: unknown): number {
  return error instanceof JetStreamApiError ? error.code : 0;
}
