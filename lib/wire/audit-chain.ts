// The chain of the audit log: how an entry is hashed together with the one before it. The contract's comments on AuditEntry say the same,
// so that anybody can check a chain without this code.

import { hash } from "node:crypto";

/** Names an entry by its place and its hash. */
export interface AuditLink {
  readonly writer: string;
  readonly number: number;
  /** When it was made, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly hash: string;
}

/** What was decided, as the contract numbers it. */
export const DECISION: { readonly allowed: 1; readonly refused: 2 } = { allowed: 1, refused: 2 };

/** What happened, before it has a place in a chain. What is unset is empty. */
export interface AuditFacts {
  readonly timeMs: number;
  readonly principal: string;
  readonly peerAddress: string;
  readonly action: string;
  readonly method: string;
  readonly resourceType: string;
  readonly resourceName: string;
  /** See {@link DECISION}. */
  readonly decision: number;
  readonly reason: string;
  readonly count: number;
  readonly traceId: string;
  readonly requestId: string;
}

/** An entry of the audit log. */
export interface AuditEntry extends AuditFacts {
  /** Empty for what belongs to no tenant. */
  readonly tenant: string;
  readonly writer: string;
  /** The place in the chain, from 1. */
  readonly number: number;
  /** What it follows; undefined for the first of all. */
  readonly previous: AuditLink | undefined;
  readonly hash: string;
}

/** Stands first in what is hashed: another form would have another name. */
const FORM = "mycel.audit.v1";

/** The hash that an entry must have: SHA-256 in lower-case hexadecimal. */
export function hashOf(entry: Omit<AuditEntry, "hash">): string {
  const { previous } = entry;
  const text = JSON.stringify([
    FORM,
    entry.tenant,
    entry.writer,
    entry.number,
    entry.timeMs,
    entry.principal,
    entry.peerAddress,
    entry.action,
    entry.method,
    entry.resourceType,
    entry.resourceName,
    entry.decision,
    entry.reason,
    entry.count,
    entry.traceId,
    entry.requestId,
    previous?.writer ?? "",
    previous?.number ?? 0,
    previous?.timeMs ?? 0,
    previous?.hash ?? "",
  ]);
  return hash("sha256", text, "hex");
}

/** The link to an entry. */
export function linkTo({ writer, number, timeMs, hash }: AuditEntry): AuditLink {
  return { writer, number, timeMs, hash };
}

/** Names a chain: a writer's entries in a tenant. */
export interface ChainName {
  readonly tenant: string;
  readonly writer: string;
}

/** The entry that follows another one in its chain; or begins a chain, behind the last one of any chain, or behind nothing. */
export function nextEntry(
  { tenant, writer }: ChainName,
  previous: AuditLink | undefined,
  facts: AuditFacts,
): AuditEntry {
  const number = previous?.writer === writer ? previous.number + 1 : 1;
  const entry = { ...facts, tenant, writer, number, previous };
  return { ...entry, hash: hashOf(entry) };
}
