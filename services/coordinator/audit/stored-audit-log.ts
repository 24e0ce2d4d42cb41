// The audit log of a coordinator: decides what is recorded by the level, who waits, and what happens when the broker is away. Changes wait
// until their entry is stored and are refused if that can't be done; everything else goes on, and what had to be left out is counted.

import { type AuditLevel, isAudited, waitsForAudit } from "../../../lib/core/audit/level.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AuditStream } from "../../../lib/nats/audit-log.ts";
import { factsOf, tenantOfEvent } from "./audit-facts.ts";
import type { AuditEvent, AuditLog } from "./audit-log.ts";
import { ChainWriter, type Draft } from "./chain-writer.ts";
import { RefusalBook } from "./refusal-book.ts";

/** What the log needs. */
export interface StoredAuditLogOptions {
  readonly stream: Pick<AuditStream, "lastOfTenant" | "lastOfChain" | "append" | "state">;
  readonly level: AuditLevel;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Names this run of this coordinator, e.g. `host-4711`; chains are named after it. */
  readonly holderId: string;
  readonly randomId: () => string;
  /** How long a change waits for its entry, in milliseconds. Default 5,000. */
  readonly waitMs?: number;
  /** How many entries may wait to be stored. Default 10,000. */
  readonly maxPending?: number;
  /** How long to go on storing when the log is closed, in milliseconds. Default 2,000. */
  readonly closeMs?: number;
}

const DEFAULTS = { waitMs: 5_000, maxPending: 10_000, closeMs: 2_000 } as const;

/** How long callers should wait when a change could not be recorded, in milliseconds. */
const RETRY_MS = 1_000;

/**
 * How full the log may be for refusals to be stored, which anybody can cause, and for what many may do, such as cancel tasks; after that they
 * are only counted. Nobody must be able to stop administration by filling the log.
 */
const ROOM: { readonly refusals: number; readonly daily: number; readonly administration: number } = {
  refusals: 0.8,
  daily: 0.9,
  administration: Infinity,
};

/** How old a reading of how full the log is may be, in milliseconds. */
const STATE_FRESH_MS = 30_000;

/** A coordinator's audit log. Disposing stores what waits, within a bounded time. */
export class StoredAuditLog implements AuditLog, AsyncDisposable {
  readonly #options: Required<StoredAuditLogOptions>;
  readonly #writers = new Map<string, ChainWriter>();
  readonly #refusals: RefusalBook;
  #pending = 0;
  /** How many events had no room, and are not told yet. */
  #lost = 0;
  /** How full the log was when it was looked at last: 1 for full. */
  #fill = 0;
  #stateUntilMs = -Infinity;
  #closing: Promise<void> | undefined;

  constructor(options: StoredAuditLogOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#refusals = new RefusalBook({
      tell: (event, count) => this.#add(event, count, ROOM.refusals),
      monotonicMs: () => options.clock.monotonicMs(),
    });
    const { holderId } = options;
    this.note({ method: "coordinator.started", resource: { type: "mycel.v1.Coordinator", name: holderId } });
  }

  wants(action: NonNullable<AuditEvent["action"]>, looks: boolean): boolean {
    return this.#isAudited({ action, looks });
  }

  record(event: AuditEvent): Promise<void> | undefined {
    if (!this.#isAudited(event)) return undefined;
    if (event.action !== undefined && waitsForAudit(event.action) && event.looks !== true) return this.#store(event);
    this.#add(event, 1, roomFor(event));
    return undefined;
  }

  note(event: AuditEvent): void {
    const { level } = this.#options;
    if (level === "off" || this.#closing !== undefined) return;
    if (event.refusal !== undefined) this.#refusals.add(event);
    else if (this.#isAudited(event)) this.#add(event, 1, roomFor(event));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #isAudited({ action, looks }: Pick<AuditEvent, "action" | "looks">): boolean {
    const { level } = this.#options;
    return looks === true ? level === "all" : isAudited(level, action);
  }

  /** Resolves once the entry is stored. */
  #store(event: AuditEvent): Promise<void> {
    const { maxPending, waitMs } = this.#options;
    if (this.#closing !== undefined || this.#pending >= maxPending) return Promise.reject(unavailable());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const facts = factsOf(event, this.#options.clock.now());
    const settled = (error?: unknown): void => {
      clearTimeout(timer);
      if (error === undefined) resolve();
      else reject(error);
    };
    const draft: Draft = { facts, settled };
    const writer = this.#writerOf(tenantOfEvent(event));
    const timer = setTimeout(() => {
      // One that is on its way may yet be stored: then the log says that a change was allowed that did not happen.
      writer.withdraw(draft);
      reject(unavailable());
    }, waitMs);
    this.#pending += 1;
    writer.add(draft);
    return promise;
  }

  /** Has an entry stored that nobody waits for, or only counts it if the log is fuller than it may be for that. */
  #add(event: AuditEvent, count: number, room: number): void {
    this.#lookAtRoom();
    if (this.#pending >= this.#options.maxPending || this.#fill >= room) {
      this.#lost += count;
      return;
    }
    this.#pending += 1;
    this.#writerOf(tenantOfEvent(event)).add({ facts: factsOf(event, this.#options.clock.now(), count) });
  }

  #writerOf(tenant: string): ChainWriter {
    const known = this.#writers.get(tenant);
    if (known !== undefined) return known;
    const { stream, logger, holderId, randomId } = this.#options;
    const writer = new ChainWriter({
      stream,
      tenant,
      newWriter: () => `${holderId.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 48)}-${randomId().slice(-8)}`,
      logger,
      onLeft: (count) => this.#left(count),
    });
    this.#writers.set(tenant, writer);
    return writer;
  }

  #left(count: number): void {
    this.#pending -= count;
    if (this.#lost === 0 || this.#fill >= ROOM.refusals) return;
    // Nothing is left out silently: how much it was is told as soon as there is room again.
    const lost = this.#lost;
    this.#lost = 0;
    this.#options.logger.warn({ lost }, "the audit log could not take everything");
    this.#add({ method: "audit.lost" }, lost, ROOM.administration);
  }

  /** Looks how full the log is, for what comes later. */
  #lookAtRoom(): void {
    const { clock, stream, logger } = this.#options;
    if (clock.monotonicMs() < this.#stateUntilMs) return;
    this.#stateUntilMs = clock.monotonicMs() + STATE_FRESH_MS;
    stream.state().then(
      ({ bytes, maxBytes }) => {
        const fill = maxBytes <= 0 ? 0 : bytes / maxBytes;
        if (fill >= ROOM.refusals && this.#fill < ROOM.refusals) {
          const message =
            "the audit log is nearly full: refusals are only counted now, and soon all but administration";
          logger.error({ bytes, max_bytes: maxBytes }, message);
        }
        this.#fill = fill;
      },
      (err: unknown) => logger.debug({ err }, "how full the audit log is was not read"),
    );
  }

  async #close(): Promise<void> {
    const { holderId, logger, closeMs } = this.#options;
    this.#refusals.close();
    if (isAudited(this.#options.level, undefined)) {
      const resource = { type: "mycel.v1.Coordinator", name: holderId };
      this.#add({ method: "coordinator.stopped", resource }, 1, ROOM.administration);
    }
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), closeMs);
    const left = await Promise.all([...this.#writers.values()].map((writer) => writer.close(late.signal)));
    clearTimeout(timer);
    const lost = left.reduce((sum, count) => sum + count, this.#lost);
    if (lost > 0) logger.error({ lost }, "entries of the audit log could not be stored before the end");
  }
}

/** What is no call, such as a start, is no more than a few can cause. */
function roomFor({ action, looks }: AuditEvent): number {
  const isAdministration = action === undefined || (waitsForAudit(action) && looks !== true);
  return isAdministration ? ROOM.administration : ROOM.daily;
}

function unavailable(): MeshError {
  return new MeshError("AUDIT_UNAVAILABLE", "this change can't be recorded now, and must not happen unrecorded", {
    retryDelayMs: RETRY_MS,
  });
}
