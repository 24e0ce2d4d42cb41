// A scope of tasks as one coordinator tells it to another beside a question, in a header. Pure.

import type { ScopeRule, TaskScope } from "../core/access/task-scope.ts";
import { MeshError } from "../core/mesh-error.ts";

/** Writes a scope. */
export function scopeToHeader({ rules, taskId }: TaskScope): string {
  return Buffer.from(JSON.stringify({ rules, taskId })).toString("base64url");
}

/** Reads a scope. Throws INVALID_REQUEST for what is none: it must not pass for no restriction. */
export function scopeFromHeader(header: string): TaskScope {
  const read = jsonIn(header);
  if (!isRecord(read) || !Array.isArray(read["rules"])) throw noScope();
  const { rules, taskId } = read;
  if (!rules.every(isRule)) throw noScope();
  if (taskId === undefined) return { rules };
  if (typeof taskId !== "string") throw noScope();
  return { rules, taskId };
}

function isRule(value: unknown): value is ScopeRule {
  if (!isRecord(value)) return false;
  const { types, labels } = value;
  return Array.isArray(types) && types.every(isText) && isRecord(labels) && Object.values(labels).every(isText);
}

function jsonIn(header: string): unknown {
  try {
    return JSON.parse(Buffer.from(header, "base64url").toString());
  } catch (cause) {
    throw noScope(cause);
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function noScope(cause?: unknown): MeshError {
  return new MeshError("INVALID_REQUEST", "the question's scope can't be read", { cause });
}
