// Page tokens and cursors of the audit log: a place in it, bound to the question that it answers. Opaque to callers.

import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { type AuditFilter, AuditFilterSchema } from "../../../gen/mycel/v1/audit_service_pb.ts";

/** A place in the log: a message, and how many of its entries lie before it. */
export interface AuditPlace {
  readonly sequence: number;
  readonly index: number;
}

/** The question that a place belongs to. */
export interface AuditQuestion {
  /** Empty for what belongs to no tenant. */
  readonly tenant: string;
  readonly filter: AuditFilter | undefined;
  /** `newest` and `oldest` first, or a watch. */
  readonly order: "newest" | "oldest" | "watch";
}

const DIGEST_LENGTH = 16;
const PLACE = /^(\d{1,16})\.(\d{1,6})$/;

/** Writes a place. */
export function encodeAuditPlace(question: AuditQuestion, { sequence, index }: AuditPlace): string {
  return digestOf(question) + Buffer.from(`${sequence}.${index}`).toString("base64url");
}

/** Reads a place; undefined if it is none, or belongs to another question. */
export function decodeAuditPlace(question: AuditQuestion, text: string): AuditPlace | undefined {
  if (text.slice(0, DIGEST_LENGTH) !== digestOf(question)) return undefined;
  const match = PLACE.exec(Buffer.from(text.slice(DIGEST_LENGTH), "base64url").toString("latin1"));
  return match === null ? undefined : { sequence: Number(match[1]), index: Number(match[2]) };
}

function digestOf({ tenant, filter, order }: AuditQuestion): string {
  const asked = filter === undefined ? "" : Buffer.from(toBinary(AuditFilterSchema, filter)).toString("base64");
  return createHash("sha256")
    .update(JSON.stringify([tenant, order, asked]))
    .digest("base64url")
    .slice(0, DIGEST_LENGTH);
}
