// API keys as a person wants to see them: a table of them, and the facts of one.
import type { ApiKey } from "../../gen/mycel/v1/api_key_pb.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import type { Column } from "./table.ts";
import { dateOf } from "./task-view.ts";
import { harmless, type Terminal } from "./terminal.ts";

// Ids are there to be copied: one is never cut.
const ID_WIDTH = 16;

/** The columns of a table of keys, as they are at this time. */
export function keyColumns(out: Terminal, now: Date): Column<ApiKey>[] {
  return [
    { head: "KEY", value: ({ keyId }) => keyId, minimum: ID_WIDTH },
    { head: "ROLES", value: ({ roles }) => roles.join(","), minimum: 8 },
    {
      head: "STATE",
      value: (key) => keyState(key, now),
      paint: (text) => (text === "valid" ? out.colors.green(text) : out.colors.red(text)),
    },
    { head: "CREATED", value: ({ createTime }) => out.time(dateOf(createTime)) },
    { head: "LAST USE", value: ({ lastUseTime }) => out.time(dateOf(lastUseTime)) },
    { head: "EXPIRES", value: ({ expireTime }) => out.time(dateOf(expireTime)) },
    { head: "DESCRIPTION", value: ({ description }) => description, minimum: 11 },
  ];
}

/** What is to be said of one key. */
export function keyFacts(out: Terminal, key: ApiKey, now: Date): [string, string][] {
  return [
    ["key", key.keyId],
    ["tenant", key.tenant],
    ["roles", key.roles.join(",")],
    ["description", harmless(key.description)],
    ["state", keyState(key, now)],
    ["created", out.time(dateOf(key.createTime))],
    ["creator", harmless(key.creator)],
    ["expires", out.time(dateOf(key.expireTime))],
    ["last use", out.time(dateOf(key.lastUseTime))],
    ["revoked", out.time(dateOf(key.revokeTime))],
    ["revoker", harmless(key.revoker)],
  ];
}

/** The word for whether a key is good. */
function keyState({ revokeTime, expireTime }: ApiKey, now: Date): "valid" | "revoked" | "expired" {
  if (revokeTime !== undefined) return "revoked";
  return (msFromTimestamp(expireTime) ?? Infinity) > now.getTime() ? "valid" : "expired";
}
