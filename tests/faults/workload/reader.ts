// A reader of results that trusts the server: it leaves in the middle, comes back on another coordinator with its cursor, and writes down
// every message as it comes, without sorting out repetitions or holes as the SDK's `watch` would.
import { pause } from "../../../lib/time/pause.ts";
import { eventOf, isLast, type TaskEvent } from "../../../sdk/client/event.ts";
import { MycelError } from "../../../sdk/client/index.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { monotonicMs } from "../history.ts";
import type { Stage } from "./scenarios.ts";

const GIVE_UP_MS = 120_000;
const BETWEEN_TRIES_MS = 200;

/** Reads a task's results to its end over as many connections as it takes. */
export async function readAnew(
  { clients, journal, random, signal }: Stage,
  reader: string,
  taskId: string,
  indexOf: (value: unknown) => number,
): Promise<void> {
  let cursor = "";
  let lastHeard = monotonicMs();
  for (let connection = 1; ; connection += 1) {
    const place = { reader, taskId, connection };
    const leave = new AbortController();
    // Most leave once or twice, after a few messages.
    let staysFor = connection <= 3 && random.chance(0.7) ? random.between(1, 12) : Infinity;
    const startedAt = monotonicMs();
    try {
      const call = { signal: AbortSignal.any([leave.signal, signal]) };
      for await (const message of random.pick(clients).rpc.streamResults({ taskId, cursor }, call)) {
        lastHeard = monotonicMs();
        const event = eventOf(message);
        if (message.cursor !== "") cursor = message.cursor;
        if (event === undefined) continue;
        write(event);
        if (isLast(event) || (event.kind === "snapshot" && isTerminal(event.state))) {
          staysFor = Infinity;
        }
        staysFor -= 1;
        if (staysFor <= 0) break;
      }
      if (staysFor > 0) {
        journal.read({ ...place, kind: "end", sequence: 0 });
        return;
      }
    } catch (error) {
      // A connection may be lost, and a leaving server says UNAVAILABLE: the cursor is good on any other.
      const lost = error instanceof MycelError && ["unavailable", "resource_exhausted"].includes(error.code);
      if (signal.aborted || !lost || monotonicMs() - lastHeard > GIVE_UP_MS) {
        const { code, message } = journal.failed("read", startedAt, error);
        journal.read({ ...place, kind: "left", sequence: 0, reason: `${code}: ${message}` });
        return;
      }
      await pause(BETWEEN_TRIES_MS, signal);
    } finally {
      leave.abort();
    }

    function write(event: TaskEvent): void {
      if (event.kind === "snapshot" || event.kind === "state") {
        const { attempt, agentId } = event.status;
        journal.read({ ...place, kind: event.kind, sequence: event.sequence, state: event.state, attempt, agentId });
        journal.told("watch", monotonicMs(), event.status);
      } else if (event.kind === "chunk") {
        const { attempt, agentId, sequence } = event;
        journal.read({ ...place, kind: "chunk", sequence, attempt, agentId, index: indexOf(event.value) });
      }
    }
  }
}
