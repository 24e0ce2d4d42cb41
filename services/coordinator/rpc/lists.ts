// The RPCs that list and count tasks, answered by the index.

import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { checkCountTasks, checkListDeadLetters, checkListTasks } from "../index/list-query.ts";
import type { TaskIndex } from "../index/task-index.ts";
import { scopeOf, tenantOf } from "./caller.ts";

type ListRpcs = Pick<ServiceImpl<typeof AgentService>, "listTasks" | "countTasks" | "listDeadLetters">;

/** What the RPCs need. */
export interface ListRpcParts {
  readonly index: Pick<TaskIndex, "listTasks" | "countTasks" | "listDeadLetters">;
}

/** Implements the RPCs that list and count tasks. */
export function listRpcs({ index }: ListRpcParts): ListRpcs {
  // A bad request is refused here, whether or not the index can be reached.
  return {
    listTasks: (request, context) => {
      const tenant = tenantOf(context);
      const scope = scopeOf(context, "task:read");
      checkListTasks(tenant, request, scope);
      return index.listTasks(tenant, request, scope);
    },
    countTasks: (request, context) => {
      checkCountTasks(request);
      return index.countTasks(tenantOf(context), request, scopeOf(context, "task:read"));
    },
    listDeadLetters: (request, context) => {
      const tenant = tenantOf(context);
      const scope = scopeOf(context, "task:read");
      checkListDeadLetters(tenant, request, scope);
      return index.listDeadLetters(tenant, request, scope);
    },
  };
}
