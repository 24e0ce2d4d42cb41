// A scope of tasks as SQL, beside a filter. Where it can, it makes the filter narrower, so that an index leads to the tasks and no page is
// searched for them.

import type { DatabaseSync } from "node:sqlite";
import { create } from "@bufbuild/protobuf";
import { type TaskFilter, TaskFilterSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { matchesGlob } from "../../../lib/core/access/glob.ts";
import type { ScopeRule, TaskScope } from "../../../lib/core/access/task-scope.ts";
import { anyOf, type Condition, is, labelled } from "./conditions.ts";

/** What to ask for in place of a filter within a scope. */
export interface NarrowedFilter {
  readonly filter: TaskFilter | undefined;
  /** What must hold besides. */
  readonly conditions: readonly Condition[];
}

/** How many types lead to their tasks one by one. */
const MAX_DRIVING_TYPES = 64;

/** The part of a filter that lies within a scope; undefined if there can be none of it. */
export function narrowed(
  database: DatabaseSync,
  tenant: string,
  filter: TaskFilter | undefined,
  scope: TaskScope | undefined,
): NarrowedFilter | undefined {
  if (scope === undefined) return { filter, conditions: [] };
  const conditions: Condition[] = scope.taskId === undefined ? [] : [is("t.task_id", scope.taskId)];
  const asked = new Set(filter?.types);
  const known = typesOf(database, tenant).filter((type) => asked.size === 0 || asked.has(type));
  const rules = scope.rules
    .map(({ types, labels }) => ({ types: known.filter((type) => isAmong(types, type)), labels }))
    .filter(({ types }) => types.length > 0);
  const [only] = rules;
  if (only === undefined) return undefined;
  const types = [...new Set(rules.flatMap((rule) => rule.types))];
  const free = rules.every(({ labels }) => Object.keys(labels).length === 0);
  // One rule's labels are those of the filter; where there are several rules, each is a condition of its own.
  const isOne = rules.length === 1 && !contradicts(only, filter);
  if (rules.length === 1 && !isOne) return undefined;
  if (!free && !isOne) conditions.push(anyRule(rules));
  if (types.length > MAX_DRIVING_TYPES) conditions.push(...anyOf("t.type", types));
  const base = filter ?? create(TaskFilterSchema);
  return {
    filter: {
      ...base,
      types: types.length > MAX_DRIVING_TYPES ? base.types : types,
      labels: isOne ? { ...base.labels, ...only.labels } : base.labels,
    },
    conditions,
  };
}

/** The types of which a tenant has tasks: as many as there are counts of. */
function typesOf(database: DatabaseSync, tenant: string): readonly string[] {
  const rows = database.prepare("SELECT DISTINCT type FROM counts WHERE tenant = ?").iterate(tenant);
  return [...rows].map((row) => String(row["type"]));
}

function isAmong(patterns: readonly string[], type: string): boolean {
  return patterns.some((pattern) => matchesGlob(pattern, type));
}

function contradicts({ labels }: ScopeRule, filter: TaskFilter | undefined): boolean {
  const asked = new Map(Object.entries(filter?.labels ?? {}));
  return Object.entries(labels).some(([key, value]) => asked.has(key) && asked.get(key) !== value);
}

function anyRule(rules: readonly ScopeRule[]): Condition {
  const each = rules.map(({ types, labels }) => [...anyOf("t.type", types), ...Object.entries(labels).map(labelled)]);
  return {
    sql: `(${each.map((all) => `(${all.map(({ sql }) => sql).join(" AND ")})`).join(" OR ")})`,
    parameters: each.flatMap((all) => all.flatMap(({ parameters }) => parameters)),
  };
}
