// Which tasks a principal may do something with. A task outside of somebody's scope is, to that caller, not there.

import type { Action } from "./action.ts";
import { matchesGlob } from "./glob.ts";
import type { Grant, Principal } from "./principal.ts";

/** Some tasks: those of these types that carry these labels. */
export interface ScopeRule {
  /** Names in which `*` stands for any characters. */
  readonly types: readonly string[];
  /** Each of these must be a label of the task, with this value. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Some of a tenant's tasks: those that any of the rules is about. Where all are meant, there is no scope: undefined. */
export interface TaskScope {
  readonly rules: readonly ScopeRule[];
  /** The only task, if there is but one. */
  readonly taskId?: string;
}

/** What of a task says whether it is in a scope. */
export interface ScopedTask {
  readonly taskId: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Whether a principal may do something at all, be it with few tasks. */
export function mayDo({ grants }: Principal, action: Action): boolean {
  return grants.some(({ actions }) => actions.has(action));
}

/** Whether a principal may do something with all tasks of its tenant. */
export function mayDoWithAll(principal: Principal, action: Action): boolean {
  return mayDo(principal, action) && taskScopeOf(principal, action) === undefined;
}

type Scopes = Map<Action, TaskScope | undefined>;
const known = new WeakMap<readonly Grant[], Scopes>();

/** The tasks with which a principal may do something; undefined if with all. Of what it may not do at all, the scope is empty. */
export function taskScopeOf({ grants, taskId }: Principal, action: Action): TaskScope | undefined {
  let scopes = known.get(grants);
  if (scopes === undefined) known.set(grants, (scopes = new Map()));
  if (!scopes.has(action)) scopes.set(action, scopeIn(grants, action));
  const scope = scopes.get(action);
  return taskId === undefined ? scope : { rules: scope?.rules ?? [{ types: ["*"], labels: {} }], taskId };
}

/** Whether a task is in a scope. */
export function covers(scope: TaskScope | undefined, task: ScopedTask): boolean {
  if (scope === undefined) return true;
  if (scope.taskId !== undefined && scope.taskId !== task.taskId) return false;
  return scope.rules.some(
    ({ types, labels }) =>
      types.some((pattern) => matchesGlob(pattern, task.type)) &&
      Object.entries(labels).every(([key, value]) => Object.hasOwn(task.labels, key) && task.labels[key] === value),
  );
}

/** Whether all tasks of a type are in a scope, whatever their labels. */
export function coversType(scope: TaskScope | undefined, type: string): boolean {
  if (scope === undefined) return true;
  return scope.taskId === undefined && scope.rules.some((rule) => !isLabelled(rule) && isAbout(rule, type));
}

function scopeIn(grants: readonly Grant[], action: Action): TaskScope | undefined {
  const rules = grants
    .filter(({ actions }) => actions.has(action))
    .map(({ taskTypes, labels }) => ({ types: taskTypes, labels }));
  return rules.some((rule) => rule.types.includes("*") && !isLabelled(rule)) ? undefined : { rules };
}

function isAbout({ types }: ScopeRule, type: string): boolean {
  return types.some((pattern) => matchesGlob(pattern, type));
}

function isLabelled({ labels }: ScopeRule): boolean {
  return Object.keys(labels).length > 0;
}
