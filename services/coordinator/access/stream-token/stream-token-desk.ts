// Issues stream tokens: what one reads is never more than what whoever has it issued may give to others, and never for longer than that
// itself gets in.

import { randomBytes } from "node:crypto";
import type { Action } from "../../../../lib/core/access/action.ts";
import { covers, type ScopeRule, taskScopeOf } from "../../../../lib/core/access/task-scope.ts";
import { principalName } from "../../../../lib/core/access/principal-name.ts";
import type { Principal } from "../../../../lib/core/access/principal.ts";
import type { Clock } from "../../../../lib/core/clock.ts";
import { MeshError, taskNotFound } from "../../../../lib/core/mesh-error.ts";
import { actionNotAllowed } from "../refusals.ts";
import { MAX_STREAM_TOKEN_MS, type StreamSecrets } from "./stream-secrets.ts";
import { MAX_STREAM_TOKEN_LENGTH, writeStreamToken } from "./stream-token.ts";

/** What of a task has to be known. */
export interface SharedTask {
  readonly taskId: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What issuing needs. */
export interface StreamTokenDeskParts {
  readonly secrets: Pick<StreamSecrets, "current">;
  /** Reads a task. Throws TASK_NOT_FOUND. */
  readonly read: (tenant: string, taskId: string) => Promise<SharedTask>;
  readonly clock: Pick<Clock, "now">;
}

/** Which tasks a token reads: one, or those that carry a label with a value. */
export type SharedTasks =
  | { readonly kind: "task"; readonly taskId: string }
  | { readonly kind: "group"; readonly label: string; readonly value: string };

/** A token that was issued. */
export interface IssuedToken {
  readonly token: string;
  /** When it ends, in milliseconds since 1970. */
  readonly expiresMs: number;
}

const SHARE: Action = "task:share";
const READ: Action = "task:read";
const EVERYTHING: readonly ScopeRule[] = [{ types: ["*"], labels: {} }];
const SECOND_MS = 1_000;
const ID_BYTES = 9;

/** Issues stream tokens. */
export class StreamTokenDesk {
  readonly #parts: StreamTokenDeskParts;

  constructor(parts: StreamTokenDeskParts) {
    this.#parts = parts;
  }

  /**
   * Issues a token. Throws TASK_NOT_FOUND for a task that is not there, or not in the principal's scope; ACTION_NOT_ALLOWED for a group in
   * which the principal sees nothing; INVALID_REQUEST for a scope that is too long to be written into a token; BROKER_UNAVAILABLE.
   */
  async issue(principal: Principal, tasks: SharedTasks, lifetimeMs: number): Promise<IssuedToken> {
    const { secrets, clock } = this.#parts;
    const rules =
      tasks.kind === "task" ? await this.#ruleOfTask(principal, tasks.taskId) : rulesOfGroup(principal, tasks);
    const nowMs = clock.now();
    const endMs = Math.min(nowMs + Math.min(lifetimeMs, MAX_STREAM_TOKEN_MS), principal.expiresMs);
    // A token ends on a whole second; a life of a second is to be one.
    const expiresMs = Math.max(Math.floor(endMs / SECOND_MS), Math.floor(nowMs / SECOND_MS) + 1) * SECOND_MS;
    const facts = {
      id: randomBytes(ID_BYTES).toString("base64url"),
      issuer: principalName(principal),
      tenant: principal.tenant,
      taskId: tasks.kind === "task" ? tasks.taskId : undefined,
      rules,
      expiresMs,
    };
    const token = await writeStreamToken(facts, await secrets.current(), nowMs);
    if (token.length > MAX_STREAM_TOKEN_LENGTH) {
      const description = "what the caller may read is too much to be said in a token";
      throw new MeshError("INVALID_REQUEST", description, { violations: [{ field: "group", description }] });
    }
    return { token, expiresMs };
  }

  async #ruleOfTask(principal: Principal, taskId: string): Promise<readonly ScopeRule[]> {
    const task = await this.#parts.read(principal.tenant, taskId);
    const inScope = [SHARE, READ].every((action) => covers(taskScopeOf(principal, action), task));
    if (!inScope) throw taskNotFound(taskId);
    return EVERYTHING;
  }
}

/** What the principal may give to others, as far as the tasks carry the label, too. */
function rulesOfGroup(
  principal: Principal,
  { label, value }: { readonly label: string; readonly value: string },
): readonly ScopeRule[] {
  const narrowed = sharedRules(principal)
    .filter(({ labels }) => !Object.hasOwn(labels, label) || labels[label] === value)
    .map(({ types, labels }) => ({ types, labels: { ...labels, [label]: value } }));
  if (narrowed.length === 0) throw actionNotAllowed(SHARE);
  return narrowed;
}

/** What the principal may both read and give to others. */
function sharedRules(principal: Principal): readonly ScopeRule[] {
  const [share, read] = [taskScopeOf(principal, SHARE), taskScopeOf(principal, READ)];
  if (share === undefined) return read?.rules ?? EVERYTHING;
  if (read === undefined) return share.rules;
  // What two grants have in common can't be told of patterns: only what one grant allows by itself counts.
  const both = principal.grants.filter(({ actions }) => actions.has(SHARE) && actions.has(READ));
  return both.map(({ taskTypes, labels }) => ({ types: taskTypes, labels }));
}
