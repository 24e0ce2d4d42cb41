// Keeps refusals from filling the audit log: the first of its kind is told at once, those like it are counted and told together, and
// however many kinds somebody makes up, no more entries come of it than a bounded few. Every refusal is counted in some entry.

import type { AuditEvent } from "./audit-log.ts";
import { tenantOfEvent } from "./audit-facts.ts";

/** How refusals are gathered. */
export interface RefusalBookOptions {
  /** How long refusals of a kind are counted before they are told, in milliseconds. Default 10,000. */
  readonly windowMs?: number;
  /** How many kinds are told apart at a time. Default 512; what is beyond is counted by tenant and reason alone. */
  readonly maxKinds?: number;
  /** How many entries may come at once. Default 200. */
  readonly burst?: number;
  /** How many entries a second may come for long, without those that count by tenant and reason alone. Default 1. */
  readonly perSecond?: number;
  /** Where entries go: an event that stands for `count` refusals. */
  readonly tell: (event: AuditEvent, count: number) => void;
  /** Milliseconds since some fixed moment. */
  readonly monotonicMs: () => number;
}

interface Kind {
  readonly event: AuditEvent;
  count: number;
}

/** The kinds that count by tenant and reason alone: so many at most, then by nothing. */
const MAX_ROUGH_KINDS = 64;

/** Gathers refusals. */
export class RefusalBook {
  readonly #options: Required<RefusalBookOptions>;
  readonly #kinds = new Map<string, Kind>();
  readonly #rough = new Map<string, Kind>();
  #tokens: number;
  #filledMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor({ windowMs = 10_000, maxKinds = 512, burst = 200, perSecond = 1, ...rest }: RefusalBookOptions) {
    this.#options = { windowMs, maxKinds, burst, perSecond, ...rest };
    this.#tokens = burst;
    this.#filledMs = rest.monotonicMs();
  }

  /** Counts a refusal, and tells it if it is the first of its kind. */
  add(event: AuditEvent): void {
    const key = keyOf(event);
    const known = this.#kinds.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.#kinds.size < this.#options.maxKinds && this.#takeToken()) {
      this.#kinds.set(key, { event, count: 0 });
      this.#options.tell(event, 1);
    } else this.#countRoughly(event, 1);
    this.#timer ??= setTimeout(() => this.#tellAll(), this.#options.windowMs).unref();
  }

  /** Tells whatever is counted and not told, and gathers no more by itself. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flush();
  }

  #tellAll(): void {
    this.#timer = undefined;
    this.#flush();
    // Whoever goes on is told once a window, not as somebody new.
    if (this.#kinds.size > 0) this.#timer = setTimeout(() => this.#tellAll(), this.#options.windowMs).unref();
  }

  #flush(): void {
    for (const [key, kind] of this.#kinds) {
      if (kind.count === 0) this.#kinds.delete(key);
      else if (this.#takeToken()) this.#options.tell(kind.event, kind.count);
      else this.#countRoughly(kind.event, kind.count);
      kind.count = 0;
    }
    for (const { event, count } of this.#rough.values()) this.#options.tell(event, count);
    this.#rough.clear();
  }

  #countRoughly(event: AuditEvent, count: number): void {
    const full = this.#rough.size >= MAX_ROUGH_KINDS;
    const exact = `${tenantOfEvent(event)} ${reasonOf(event)}`;
    const key = full && !this.#rough.has(exact) ? "" : exact;
    const known = this.#rough.get(key);
    if (known !== undefined) known.count += count;
    else this.#rough.set(key, { event: key === "" ? MANY : roughly(event), count });
  }

  #takeToken(): boolean {
    const { burst, perSecond, monotonicMs } = this.#options;
    const nowMs = monotonicMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledMs) / 1_000) * perSecond);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

const MANY: AuditEvent = { method: "refusals.many", refusal: "MANY" };

/** What is left of an event that is only counted. */
function roughly(event: AuditEvent): AuditEvent {
  return { tenant: tenantOfEvent(event), method: "refusals.many", refusal: reasonOf(event) };
}

/** The reason that the caller was told: what follows it may be made up by the caller. */
function reasonOf({ refusal = "" }: AuditEvent): string {
  return refusal.split(":", 1)[0] ?? "";
}

/** What makes refusals alike: who, from where, what for and why; not what they were about, which a caller can make up. */
function keyOf(event: AuditEvent): string {
  const { principal, peer = "", action = "", method } = event;
  const who = principal === undefined ? "" : `${principal.kind}:${principal.id}`;
  return JSON.stringify([tenantOfEvent(event), who, peer, action, method, event.refusal?.slice(0, 256)]);
}
