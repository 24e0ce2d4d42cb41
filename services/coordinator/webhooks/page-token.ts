// Page tokens of deliveries: the place of the last one of a page, bound to the question that the page answers. Opaque to callers.

import { createHash } from "node:crypto";
import type { DeliveryFilter, DeliveryPlace } from "./delivery-book.ts";

const DIGEST_LENGTH = 16;
const PLACE = /^(\d{1,16})\.([A-Za-z0-9_-]{1,128})$/;

/** Writes a token. */
export function encodePageToken(filter: DeliveryFilter, { createMs, deliveryId }: DeliveryPlace): string {
  return digestOf(filter) + Buffer.from(`${createMs}.${deliveryId}`).toString("base64url");
}

/** Reads a token; undefined if it is none, or belongs to another question. */
export function decodePageToken(filter: DeliveryFilter, token: string): DeliveryPlace | undefined {
  if (token.slice(0, DIGEST_LENGTH) !== digestOf(filter)) return undefined;
  const match = PLACE.exec(Buffer.from(token.slice(DIGEST_LENGTH), "base64url").toString("latin1"));
  const [, createMs, deliveryId] = match ?? [];
  return createMs === undefined || deliveryId === undefined ? undefined : { createMs: Number(createMs), deliveryId };
}

/** The same for filters that mean the same. */
function digestOf({ tenant, endpointId, taskId, states }: DeliveryFilter): string {
  const parts = [tenant, endpointId, taskId, [...new Set(states)].toSorted((a, b) => a - b)];
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url").slice(0, DIGEST_LENGTH);
}
