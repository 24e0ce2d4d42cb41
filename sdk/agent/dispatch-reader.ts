// Reads out of a dispatch's bytes what an agent needs to run it, in one pass and without messages: by the schema it takes five times as
// long, a fifth of an agent's time. It checks as much as the schema and the bounds of stored tasks do, and reads only what coordinators
// write: fields in order, nothing unknown. It throws UNUSUAL for everything else.
import { isName, MAX_TASK_ID_LENGTH } from "../../lib/core/names.ts";
import { readInput } from "./input-reader.ts";
import { UNUSUAL, WireCursor } from "./wire-cursor.ts";

/** What an agent needs to know of a dispatch. */
export interface DispatchFacts {
  taskId: string;
  type: string;
  queue: string;
  attempt: number;
  fence: bigint;
  beginRequired: boolean;
  /** What shows that it was delivered here; empty if that need not be shown. */
  leaseToken: string;
  /** Undefined if it has no limit of its own. */
  startToCloseMs: number | undefined;
  heartbeatMs: number | undefined;
  /** The value of an inline input; undefined if there is none. */
  input: unknown;
}

// Tags: field number and wire type, as in their proto files.
const DISPATCH = { task: 0x0a, attempt: 0x10, fence: 0x18, beginRequired: 0x20, requestDigest: 0x2a, leaseToken: 0x32 };
const TASK = {
  taskId: 0x0a,
  type: 0x12,
  queue: 0x1a,
  priority: 0x20,
  input: 0x2a,
  label: 0x32,
  timeouts: 0x3a,
  retryPolicy: 0x42,
  resultTtl: 0x4a,
  createTime: 0x52,
  startTime: 0x5a,
  redriveOf: 0x62,
  webhook: 0x7a,
};
const WEBHOOK = { endpointId: 0x0a, allStates: 0x10 };
const LABEL = { key: 0x0a, value: 0x12 };
const TIMEOUTS = { scheduleToStart: 0x0a, startToClose: 0x12, scheduleToClose: 0x1a, heartbeat: 0x22 };
const POLICY = { maximumAttempts: 0x08, initialInterval: 0x12, coefficient: 0x19, maximumInterval: 0x22, reason: 0x2a };
// The years 1 to 9999, and 10,000 years: beyond them, times and durations have no JSON form.
const LAST_SECOND = 253_402_300_799;
const MAX_DURATION_SECONDS = 315_576_000_000;

/** Reads a dispatch into `facts`, of which nothing is known yet. Throws UNUSUAL. */
export function readDispatch(bytes: Uint8Array, facts: DispatchFacts): void {
  const cursor = new WireCursor(bytes);
  const end = cursor.bytes.length;
  for (let last = 0; cursor.at < end;) {
    last = cursor.tag(last);
    switch (last) {
      case DISPATCH.task:
        readTask(cursor, end, facts);
        break;
      case DISPATCH.attempt:
        facts.attempt = cursor.count();
        break;
      case DISPATCH.fence:
        facts.fence = BigInt(cursor.number());
        break;
      case DISPATCH.beginRequired:
        facts.beginRequired = cursor.flag();
        break;
      case DISPATCH.requestDigest:
        cursor.passBytes(end);
        break;
      case DISPATCH.leaseToken:
        facts.leaseToken = cursor.text(end);
        break;
      default:
        throw UNUSUAL;
    }
  }
  cursor.close(end);
  if (facts.taskId === "" || facts.type === "") throw UNUSUAL;
}

function readTask(cursor: WireCursor, within: number, facts: DispatchFacts): void {
  const end = cursor.end(within);
  for (let last = 0; cursor.at < end;) {
    // Labels are many fields of one tag.
    last = cursor.tag(last === TASK.label ? last - 1 : last);
    switch (last) {
      case TASK.taskId:
        facts.taskId = nameOf(cursor.text(end), MAX_TASK_ID_LENGTH);
        break;
      case TASK.type:
        facts.type = lastType.read(cursor, end);
        break;
      case TASK.queue:
        facts.queue = lastQueue.read(cursor, end);
        break;
      case TASK.priority:
        cursor.count();
        break;
      case TASK.input:
        facts.input = readInput(cursor, end);
        break;
      case TASK.label:
        passLabel(cursor, end);
        break;
      case TASK.timeouts:
        readTimeouts(cursor, end, facts);
        break;
      case TASK.retryPolicy:
        passRetryPolicy(cursor, end);
        break;
      case TASK.resultTtl:
        cursor.milliseconds(end, MAX_DURATION_SECONDS);
        break;
      case TASK.createTime:
      case TASK.startTime:
        cursor.milliseconds(end, LAST_SECOND);
        break;
      case TASK.redriveOf:
        cursor.passAscii(end);
        break;
      case TASK.webhook:
        passWebhook(cursor, end);
        break;
      default:
        throw UNUSUAL;
    }
  }
  cursor.close(end);
}

function passLabel(cursor: WireCursor, within: number): void {
  const end = cursor.end(within);
  for (let last = 0; cursor.at < end;) {
    last = cursor.tag(last);
    if (last !== LABEL.key && last !== LABEL.value) throw UNUSUAL;
    cursor.passAscii(end);
  }
  cursor.close(end);
}

function readTimeouts(cursor: WireCursor, within: number, facts: DispatchFacts): void {
  const end = cursor.end(within);
  for (let last = 0; cursor.at < end;) {
    last = cursor.tag(last);
    const limitMs = cursor.milliseconds(end, MAX_DURATION_SECONDS);
    if (last === TIMEOUTS.startToClose) facts.startToCloseMs = limitMs;
    else if (last === TIMEOUTS.heartbeat) facts.heartbeatMs = limitMs;
    else if (last !== TIMEOUTS.scheduleToStart && last !== TIMEOUTS.scheduleToClose) throw UNUSUAL;
  }
  cursor.close(end);
}

function passRetryPolicy(cursor: WireCursor, within: number): void {
  const end = cursor.end(within);
  for (let last = 0; cursor.at < end;) {
    last = cursor.tag(last === POLICY.reason ? last - 1 : last);
    if (last === POLICY.maximumAttempts) cursor.count();
    else if (last === POLICY.initialInterval || last === POLICY.maximumInterval)
      cursor.milliseconds(end, MAX_DURATION_SECONDS);
    else if (last === POLICY.reason) cursor.passAscii(end);
    else if (last !== POLICY.coefficient || !(cursor.double() >= 0)) throw UNUSUAL;
  }
  cursor.close(end);
}

function passWebhook(cursor: WireCursor, within: number): void {
  const end = cursor.end(within);
  let endpointId = "";
  for (let last = 0; cursor.at < end;) {
    last = cursor.tag(last);
    if (last === WEBHOOK.endpointId) endpointId = cursor.text(end);
    else if (last === WEBHOOK.allStates) cursor.flag();
    else throw UNUSUAL;
  }
  nameOf(endpointId);
  cursor.close(end);
}

function nameOf(text: string, maxLength?: number): string {
  if (!isName(text, maxLength)) throw UNUSUAL;
  return text;
}

/** Most tasks bear the names that the one before bore: to compare them takes a tenth of making and checking them anew. */
class LastName {
  #name = "";

  read(cursor: WireCursor, within: number): string {
    const from = cursor.at;
    const end = cursor.end(within);
    if (end - cursor.at === this.#name.length && this.#isNext(cursor)) {
      cursor.at = end;
      return this.#name;
    }
    cursor.at = from;
    return (this.#name = nameOf(cursor.text(within)));
  }

  #isNext({ bytes, at }: WireCursor): boolean {
    for (let i = 0; i < this.#name.length; i++) if (bytes[at + i] !== this.#name.charCodeAt(i)) return false;
    return true;
  }
}

const lastType = new LastName();
const lastQueue = new LastName();
