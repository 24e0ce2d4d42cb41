// Puts the tables together: which keys there are, and whose they are. A new module of keys is added here, once.
import type { Key } from "../key.ts";
import * as coordinator from "./coordinator.ts";
import * as nats from "./nats.ts";
import * as shared from "./shared.ts";

/** What a coordinator reads. */
export const COORDINATOR_KEYS: readonly Key[] = [shared, nats, coordinator].flatMap(keysOf);

/** What one file may hold: everything that any process of the mesh reads. */
export const ALL_KEYS: readonly Key[] = COORDINATOR_KEYS;

function keysOf(table: Readonly<Record<string, Key>>): readonly Key[] {
  return Object.values(table);
}
