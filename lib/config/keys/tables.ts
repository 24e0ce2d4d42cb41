// Puts the tables together: which keys there are, and whose they are. A new module of keys is added here, once.
import type { Key } from "../key.ts";
import * as audit from "./audit.ts";
import * as coordinator from "./coordinator.ts";
import * as credentials from "./credentials.ts";
import * as inference from "./inference.ts";
import * as limits from "./limits.ts";
import * as listenerTls from "./listener-tls.ts";
import * as natsTls from "./nats-tls.ts";
import * as nats from "./nats.ts";
import * as shared from "./shared.ts";
import * as telemetry from "./telemetry.ts";
import * as vault from "./vault.ts";
import * as workerAccess from "./worker-access.ts";
import * as worker from "./worker.ts";

/** Keys that belong together, for the reference. */
export interface Table {
  readonly title: string;
  readonly keys: readonly Key[];
}

const SHARED: Table = { title: "Every process", keys: keysOf(shared) };
const COORDINATOR: Table = { title: "Coordinator", keys: keysOf(coordinator) };
const LISTENER_TLS: Table = { title: "Who may connect to the coordinator, and how", keys: keysOf(listenerTls) };
const CREDENTIALS: Table = { title: "Who calls", keys: keysOf(credentials) };
const LIMITS: Table = { title: "Limits", keys: keysOf(limits) };
const AUDIT: Table = { title: "Audit log", keys: keysOf(audit) };
const NATS: Table = { title: "NATS, as the coordinator reaches it", keys: keysOf(nats) };
const NATS_TLS: Table = { title: "TLS to NATS, of coordinators and stock agents", keys: keysOf(natsTls) };
const WORKER: Table = { title: "Stock agent", keys: keysOf(worker) };
const WORKER_ACCESS: Table = { title: "Who a stock agent is, and whom it trusts", keys: keysOf(workerAccess) };
const INFERENCE: Table = { title: "Language models of the stock agent", keys: keysOf(inference) };
const VAULT: Table = { title: "HashiCorp Vault", keys: keysOf(vault) };
const TELEMETRY: Table = { title: "OpenTelemetry", keys: keysOf(telemetry) };

/** All tables, in the order of the reference. */
export const TABLES: readonly Table[] = [
  COORDINATOR,
  LISTENER_TLS,
  CREDENTIALS,
  LIMITS,
  AUDIT,
  NATS,
  NATS_TLS,
  WORKER,
  WORKER_ACCESS,
  INFERENCE,
  SHARED,
  VAULT,
  TELEMETRY,
];

/** What a coordinator reads. */
export const COORDINATOR_KEYS: readonly Key[] = keysIn([
  SHARED,
  COORDINATOR,
  LISTENER_TLS,
  CREDENTIALS,
  LIMITS,
  AUDIT,
  NATS,
  NATS_TLS,
  VAULT,
  TELEMETRY,
]);

/** What a stock agent reads. */
export const WORKER_KEYS: readonly Key[] = keysIn([
  SHARED,
  WORKER,
  WORKER_ACCESS,
  NATS_TLS,
  INFERENCE,
  VAULT,
  TELEMETRY,
]);

/** What one file may hold: everything that any process of the mesh reads. */
export const ALL_KEYS: readonly Key[] = keysIn(TABLES);

function keysOf(table: Readonly<Record<string, Key>>): readonly Key[] {
  // What a module exports comes ordered by names that nobody sees.
  return Object.values(table).toSorted((one, other) => (one.path < other.path ? -1 : 1));
}

function keysIn(tables: readonly Table[]): readonly Key[] {
  return tables.flatMap(({ keys }) => keys);
}
