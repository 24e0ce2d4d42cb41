// Whether a stream's leader is the only server that takes itself for it. One that was cut off from the others, or stood still, answers
// reads with what it knew, for as long as it has not noticed that they have elected another: up to twenty seconds, and for a moment after it
// is back.
//
// nats-server looks every 10 s whether a leader has heard of a majority within the last 10 s; an election takes 4 s at least
// (https://github.com/nats-io/nats-server/blob/main/server/raft.go: lostQuorumInterval, minElectionTimeout).

import type { NatsConnection } from "@nats-io/nats-core";
import { askThrough, onInterruption } from "./interruptions.ts";

/**
 * - `sure`: whatever answers as the leader is it.
 * - `contested`: another one may answer, too, that does not know better.
 * - `deposed`: whoever answers has no majority behind it, or knows of none.
 */
export type Standing = "sure" | "contested" | "deposed";

/** What a stream's leader says of itself, as far as it matters here; all of it is missing on a server without a cluster. */
export interface LeaderInfo {
  /** Why it cannot say anything: nobody leads now. */
  readonly error?: object;
  /** The server's time. */
  readonly ts?: string;
  readonly cluster?: {
    readonly leader_since?: string;
    readonly replicas?: readonly {
      /** When it was heard of last, in nanoseconds before now. */
      readonly active?: number;
    }[];
  };
}

/** For how long the one before may believe that it leads, in milliseconds, with a margin. */
const CONTESTED_MS = 25_000;
/** How fresh a follower's sign of life must be, in milliseconds; they come once a second. */
const ACTIVE_MS = 2_000;
/** How long a standing holds, in milliseconds: with the above still within the 4 s that an election takes. */
const HOLDS_MS = 1_500;
/** The same where there is nobody else who could lead. */
const ALONE_HOLDS_MS = 60_000;
const ASK_TIMEOUT_MS = 5_000;

/** What follows from what a leader says of itself. */
export function standingOf({ ts = "", cluster, error }: LeaderInfo): Standing {
  if (error !== undefined) return "deposed";
  const { leader_since: since = "", replicas = [] } = cluster ?? {};
  if (replicas.length === 0) return "sure";
  const heard = replicas.filter(({ active = Infinity }) => active / 1e6 <= ACTIVE_MS).length;
  if (2 * (heard + 1) <= replicas.length + 1) return "deposed";
  return Date.parse(ts) - Date.parse(since) > CONTESTED_MS ? "sure" : "contested";
}

interface Known {
  readonly standing: Standing;
  readonly untilMs: number;
}

const known = new WeakMap<NatsConnection, Map<string, Known>>();

/** The subject on which a stream's leader tells of itself. */
export function infoSubject(stream: string): string {
  return `$JS.API.STREAM.INFO.${stream}`;
}

/** How the leader of a stream stands now. Rejects when nobody answers. */
export async function leaderStanding(connection: NatsConnection, stream: string): Promise<Standing> {
  const standings = known.get(connection) ?? remember(connection);
  const found = standings.get(stream);
  if (found !== undefined && performance.now() < found.untilMs) return found.standing;
  const askedMs = performance.now();
  const options = { timeout: ASK_TIMEOUT_MS };
  const answer = await askThrough(connection, () => connection.request(infoSubject(stream), "", options));
  const info = answer.json<LeaderInfo>();
  const standing = standingOf(info);
  // What is not sure is looked at each time.
  const holdsMs = (info.cluster?.replicas ?? []).length === 0 ? ALONE_HOLDS_MS : HOLDS_MS;
  if (standing === "sure") standings.set(stream, { standing, untilMs: askedMs + holdsMs });
  return standing;
}

function remember(connection: NatsConnection): Map<string, Known> {
  const standings = new Map<string, Known>();
  known.set(connection, standings);
  onInterruption(connection, () => standings.clear());
  return standings;
}
