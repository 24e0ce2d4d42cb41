// The tokens of leases: what shows a coordinator, without a look at the log, that an agent was given what it reports on. Pure.
//
// The broker says who an agent is, not what was delivered to it. A dispatch bears a token that only those know to whom its lane delivered
// it; whoever begins an attempt gets one for what follows, which is good for that agent alone.

import { hash } from "node:crypto";
import { laneConsumer } from "./subjects.ts";

/** A dispatch, as far as its token speaks of it. */
export interface TokenDispatch {
  readonly tenant: string;
  readonly taskId: string;
  readonly queue: string;
  readonly priority: number;
  readonly attempt: number;
  readonly fence: number | bigint;
}

/** What an agent claims to have been given. */
export interface TokenClaim {
  readonly tenant: string;
  readonly agentId: string;
  /** The lane by which it came. */
  readonly consumer: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly fence: number | bigint;
}

/** So many characters of base64 are 132 bits. */
const LENGTH = 22;

/** Makes tokens and checks them. */
export class LeaseTokens {
  readonly #secret: string;

  /** Every coordinator must have the same secret; it must be long and nobody's guess. */
  constructor(secret: string) {
    this.#secret = hash("sha256", `mycel lease token ${secret}`, "base64url");
  }

  /** The token of a dispatch: for whoever it is delivered to. */
  ofDispatch({ tenant, taskId, queue, priority, attempt, fence }: TokenDispatch): string {
    return `d${this.#code(`d/${laneConsumer(tenant, queue, priority)}/${taskId}/${attempt}/${fence}`)}`;
  }

  /** The token of an attempt that an agent has begun: for that agent. */
  ofAttempt({ tenant, agentId, consumer, taskId, attempt, fence }: TokenClaim): string {
    return `a${this.#code(`a/${consumer}/${taskId}/${attempt}/${fence}/${tenant}/${agentId}`)}`;
  }

  /** Whether a token shows what an agent claims. */
  shows(token: string, claim: TokenClaim): boolean {
    if (token.startsWith("a")) return isSame(token, this.ofAttempt(claim));
    const { consumer, taskId, attempt, fence } = claim;
    return isSame(token, `d${this.#code(`d/${consumer}/${taskId}/${attempt}/${fence}`)}`);
  }

  /** No part may hold a slash. As only a part of the sum is shown, nobody can go on reckoning from it. */
  #code(text: string): string {
    return hash("sha256", `${this.#secret}/${text}`, "base64url").slice(0, LENGTH);
  }
}

/** Takes as long wherever two tokens differ. */
export function isSame(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i += 1) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
