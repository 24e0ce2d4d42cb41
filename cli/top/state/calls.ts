// The calls that tell what a screen shows, as grpcurl makes them. Pure.
import { create, type DescMessage, type DescMethod, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MetricsService } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { durationFromMs } from "../../../lib/wire/time-codec.ts";
import { grpcurlCall, type ShownSecurity } from "../../grpcurl/grpcurl-call.ts";
import { LIMITS, OPEN_STATES, PULSE_MS, WAITING_STATES } from "../data/feed.ts";
import { type Model, screenOf } from "./model.ts";

/** Where the calls go to, and how safely. */
export interface CallTarget extends ShownSecurity {
  readonly url: string;
}

/** One call that is not made. */
export interface Call {
  readonly method: DescMethod;
  readonly request: Message;
}

/** The shown screen's calls as lines for a shell. */
export function callLines(model: Model, windowMs: number, target: CallTarget): string[] {
  return callsOf(model, windowMs).map(({ method, request }) => grpcurlCall({ ...target, method, requests: [request] }));
}

/** The calls of the shown screen; `windowMs` says how far back the metrics reach. */
export function callsOf(model: Model, windowMs: number): Call[] {
  const types = [...model.types];
  const screen = screenOf(model);
  const { method } = AgentService;
  switch (screen.kind) {
    case "agent": {
      const filter = { agentId: screen.agentId, states: [stateToWire("working")] };
      return [
        call(method.getAgent, { agentId: screen.agentId }),
        call(method.listTasks, { pageSize: LIMITS.tasks, filter }),
      ];
    }
    case "queue": {
      const filter = { queue: screen.queue, states: WAITING_STATES.map(stateToWire) };
      return [
        call(QueueService.method.getQueue, { queue: screen.queue }),
        call(method.listTasks, { pageSize: LIMITS.tasks, filter }),
      ];
    }
    case "task":
      return [
        call(method.getTask, { taskId: screen.taskId }),
        call(method.explainTask, { taskId: screen.taskId }),
        call(method.streamResults, { taskId: screen.taskId }),
      ];
    case "overview":
      return [
        call(Health.method.check, {}),
        call(method.listAgents, { pageSize: LIMITS.agents }),
        call(QueueService.method.listQueues, { pageSize: LIMITS.queues }),
        call(method.countTasks, { filter: { states: OPEN_STATES.map(stateToWire), types } }),
        call(MetricsService.method.getMetrics, { window: durationFromMs(windowMs), types }),
        call(MetricsService.method.getMetrics, { window: durationFromMs(PULSE_MS), types }),
        call(method.listDeadLetters, { pageSize: LIMITS.failures, includeRedriven: true, filter: { types } }),
      ];
  }
}

function call<I extends DescMessage>(method: DescMethod & { readonly input: I }, request: MessageInitShape<I>): Call {
  return { method, request: create(method.input, request) };
}
