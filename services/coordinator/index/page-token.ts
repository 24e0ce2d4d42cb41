// Page tokens: the place of the last row of a page, bound to the question that the page answers. Opaque to callers.

import { createHash } from "node:crypto";
import type { TaskFilter } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import { scopeToHeader } from "../../../lib/wire/scope-codec.ts";

/** A place in an order by time and task id. The next page is what comes after it. */
export interface PagePlace {
  readonly ms: number;
  readonly taskId: string;
}

/** What a token belongs to. */
export interface PageQuestion {
  readonly list: "tasks" | "dead_letters" | "dead_letters_all";
  readonly tenant: string;
  readonly filter: TaskFilter | undefined;
  /** The tasks that whoever asks may see: a token is worth nothing to somebody who may see others. */
  readonly scope: TaskScope | undefined;
}

const DIGEST_LENGTH = 16;
const PLACE = /^(-?\d{1,16})\.([A-Za-z0-9_-]{1,100})$/;

/** Writes a token. */
export function encodePageToken(question: PageQuestion, place: PagePlace): string {
  return digestOf(question) + Buffer.from(`${place.ms}.${place.taskId}`).toString("base64url");
}

/** Reads a token; undefined if it is none, or belongs to another question. */
export function decodePageToken(question: PageQuestion, token: string): PagePlace | undefined {
  if (token.slice(0, DIGEST_LENGTH) !== digestOf(question)) return undefined;
  const match = PLACE.exec(Buffer.from(token.slice(DIGEST_LENGTH), "base64url").toString("latin1"));
  const [, ms, taskId] = match ?? [];
  if (ms === undefined || taskId === undefined) return undefined;
  return { ms: Number(ms), taskId };
}

/** The same for filters that mean the same, whatever order their parts came in. */
function digestOf({ list, tenant, filter, scope }: PageQuestion): string {
  const time = (at: { readonly seconds: bigint; readonly nanos: number } | undefined): string =>
    at === undefined ? "" : `${at.seconds}.${at.nanos}`;
  const parts = [
    list,
    tenant,
    [...new Set(filter?.states)].toSorted((a, b) => a - b),
    [...new Set(filter?.types)].toSorted(),
    filter?.agentId ?? "",
    Object.entries(filter?.labels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    time(filter?.createTimeFrom),
    time(filter?.createTimeUntil),
    filter?.queue ?? "",
    ...(scope === undefined ? [] : [scopeToHeader(scope)]),
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url").slice(0, DIGEST_LENGTH);
}
