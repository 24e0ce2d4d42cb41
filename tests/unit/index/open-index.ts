// An index in memory, filled with messages of the log, and the questions that tests ask of it.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { DatabaseSync } from "node:sqlite";
import {
  CountTasksRequestSchema,
  ListDeadLettersRequestSchema,
  ListTasksRequestSchema,
  type ListDeadLettersResponse,
  type ListTasksResponse,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { openDatabase } from "../../../services/coordinator/index/database.ts";
import { countTasks, listDeadLetters, listTasks } from "../../../services/coordinator/index/task-queries.ts";
import { TaskTable } from "../../../services/coordinator/index/task-table.ts";

/** An index in memory. */
export interface MemoryIndex extends Disposable {
  readonly database: DatabaseSync;
  readonly table: TaskTable;
  apply(...messages: StoredMessage[]): number;
  list(
    request?: MessageInitShape<typeof ListTasksRequestSchema>,
    tenant?: string,
    scope?: TaskScope,
  ): ListTasksResponse;
  ids(request?: MessageInitShape<typeof ListTasksRequestSchema>, tenant?: string, scope?: TaskScope): string[];
  dead(request?: MessageInitShape<typeof ListDeadLettersRequestSchema>, scope?: TaskScope): ListDeadLettersResponse;
  counts(request?: MessageInitShape<typeof CountTasksRequestSchema>, scope?: TaskScope): Record<number, number>;
  /** Everything that the index holds, but for the position. */
  contents(): unknown;
}

/** Opens an index in memory. */
export function openMemoryIndex(): MemoryIndex {
  const database = openDatabase({ dataDir: "" });
  const table = new TaskTable(database);
  const list: MemoryIndex["list"] = (request = {}, tenant = "default", scope) =>
    listTasks(database, tenant, create(ListTasksRequestSchema, request), { asOfMs: 1, scope });
  const all = (sql: string): unknown[] => database.prepare(sql).all();
  return {
    database,
    table,
    apply: (...messages) => {
      const position = Math.max(table.position().position, messages.at(-1)?.sequence ?? 0);
      return table.apply({ messages, position, created: "once" });
    },
    list,
    ids: (request, tenant, scope) => list(request, tenant, scope).tasks.map(({ taskId }) => taskId),
    dead: (request = {}, scope) =>
      listDeadLetters(database, "default", create(ListDeadLettersRequestSchema, request), { asOfMs: 1, scope }),
    counts: (request = {}, scope) => {
      const { counts } = countTasks(database, "default", create(CountTasksRequestSchema, request), {
        asOfMs: 1,
        scope,
      });
      return Object.fromEntries(counts.map(({ state, taskCount }) => [state, Number(taskCount)]));
    },
    contents: () => {
      const tasks = (all("SELECT * FROM tasks ORDER BY tenant, task_id") as Record<string, unknown>[]).map(
        ({ row: _row, ...rest }) => rest,
      );
      return [
        tasks,
        all("SELECT * FROM labels"),
        all("SELECT * FROM redrives"),
        all("SELECT * FROM counts WHERE tasks <> 0"),
      ];
    },
    [Symbol.dispose]: () => database.close(),
  };
}
