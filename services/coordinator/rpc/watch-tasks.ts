// WatchTasks: what becomes of all tasks, as it happens.

import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { checkWatchTasks } from "../index/list-query.ts";
import type { TaskWatches } from "../watch/task-watches.ts";
import { principalOf, scopeOf } from "./caller.ts";

/** What the RPC needs. */
export interface WatchTasksRpcParts {
  readonly watches: Pick<TaskWatches, "watch">;
}

/** Implements WatchTasks. */
export function watchTasksRpcs({ watches }: WatchTasksRpcParts): Pick<ServiceImpl<typeof AgentService>, "watchTasks"> {
  return {
    watchTasks: async function* watchTasks(request, context) {
      checkWatchTasks(request);
      const { kind, id, tenant } = principalOf(context);
      yield* watches.watch({
        tenant,
        caller: kind === "open" ? undefined : `${tenant} ${kind} ${id}`,
        filter: request.filter,
        scope: scopeOf(context, "task:read"),
        signal: context.signal,
      });
    },
  };
}
