// The cursor of StreamResults: a reader's position as an opaque text that any replica can resume from.

import type { Position } from "../core/result-order.ts";

/** The first byte. A cursor of another layout is refused, never misread. */
const VERSION = 1;

/** What stands before the numbers: the version and four bytes that belong to the task. */
const HEAD_BYTES = 5;

/** Longer texts can't be cursors. */
const MAX_LENGTH = 80;

/** Writes a cursor. A cursor belongs to its task. */
export function encodeCursor(tenant: string, taskId: string, position: Position): string {
  const bytes = [VERSION, ...taskBytes(tenant, taskId)];
  const { ordinal, event, output, item, index } = position;
  for (const number of [ordinal, event, output, item, index]) pushVarint(bytes, number);
  return Buffer.from(bytes).toString("base64url");
}

/** Reads a cursor; undefined if it is none, or belongs to another task. */
export function decodeCursor(tenant: string, taskId: string, cursor: string): Position | undefined {
  if (cursor.length > MAX_LENGTH) return undefined;
  const bytes = Buffer.from(cursor, "base64url");
  const numbers = readVarints(bytes.subarray(HEAD_BYTES));
  const [ordinal, event, output, item, index] = numbers ?? [];
  if (ordinal === undefined || event === undefined || output === undefined) return undefined;
  if (item === undefined || index === undefined || numbers?.length !== 5) return undefined;
  const position = { ordinal, event, output, item, index };
  // There is one way to write a position: this also refuses foreign characters, versions and tasks.
  return encodeCursor(tenant, taskId, position) === cursor ? position : undefined;
}

/** Four bytes of the FNV-1a hash of a task's name: a slip is told apart, no secret is kept. */
function taskBytes(tenant: string, taskId: string): number[] {
  let hash = 0x811c9dc5;
  for (const character of Buffer.from(`${tenant}/${taskId}`)) hash = Math.imul(hash ^ character, 0x01000193);
  return [hash >>> 24, (hash >>> 16) & 0xff, (hash >>> 8) & 0xff, hash & 0xff];
}

function pushVarint(bytes: number[], number: number): void {
  // Sequences grow beyond 32 bits, so no shifts.
  let rest = number;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function readVarints(bytes: Uint8Array): number[] | undefined {
  const numbers: number[] = [];
  let [number, factor] = [0, 1];
  for (const byte of bytes) {
    number += (byte % 128) * factor;
    factor *= 128;
    if (!Number.isSafeInteger(number)) return undefined;
    if (byte < 128) {
      numbers.push(number);
      [number, factor] = [0, 1];
    }
  }
  return factor === 1 ? numbers : undefined;
}
