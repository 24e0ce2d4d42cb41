// The one table of what each call needs. A call that is not in it is nobody's.

import type { DescMethod } from "@bufbuild/protobuf";
import { ServerReflection as ServerReflectionV1 } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { AuditService } from "../../../gen/mycel/v1/audit_service_pb.ts";
import { BlobService } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { KeyService } from "../../../gen/mycel/v1/key_service_pb.ts";
import { MetricsService } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import type { Action } from "../../../lib/core/access/action.ts";

/**
 * How a call is about tasks. `none`: it isn't. `scoped`: it itself keeps to the tasks that its caller's grants are about. `all`: it touches
 * tasks that it can't tell apart, so its caller's grants must be about all of them.
 */
export type TaskReach = "none" | "scoped" | "all";

/** What a call needs. */
export type RpcAccess =
  /** Nothing: whoever reaches the port may make it. */
  | { readonly who: "anybody" }
  /** A credential that is good, whatever it allows. */
  | { readonly who: "authenticated" }
  | {
      readonly who: "allowed";
      /** All of these. */
      readonly actions: readonly [Action, ...Action[]];
      readonly tasks: TaskReach;
      /** Whether it can be made with a stream token. */
      readonly streamToken: boolean;
    };

/** What the calls of a service need, by their local names. */
type ServiceAccess = Readonly<Record<string, RpcAccess>>;

const ANYBODY: RpcAccess = { who: "anybody" };
const AUTHENTICATED: RpcAccess = { who: "authenticated" };

const AGENTS: ServiceAccess = {
  registerAgent: scoped("agent:register"),
  deregisterAgent: plain("agent:register"),
  getAgent: plain("agent:read"),
  listAgents: plain("agent:read"),
  watchAgents: plain("agent:read"),
  submitTask: scoped("task:submit"),
  batchSubmitTasks: scoped("task:submit"),
  submitTaskStream: scoped("task:submit"),
  getTaskStatus: byStreamToken("task:read"),
  getTask: scoped("task:read"),
  explainTask: scoped("task:read"),
  listTasks: scoped("task:read"),
  countTasks: scoped("task:read"),
  streamResults: byStreamToken("task:read"),
  // Its answers are the task's results.
  runTask: scoped("task:submit", "task:read"),
  watchTasks: byStreamToken("task:read"),
  cancelTask: scoped("task:cancel"),
  retryTask: scoped("task:submit"),
  listDeadLetters: scoped("task:read"),
  issueStreamToken: scoped("task:share", "task:read"),
  revokeAgent: plain("agent:revoke"),
  restoreAgent: plain("agent:revoke"),
};

const BLOBS: ServiceAccess = {
  uploadBlob: plain("blob:write"),
  downloadBlob: plain("blob:read"),
};

const METRICS: ServiceAccess = {
  getMetrics: scoped("metrics:read"),
  watchMetrics: scoped("metrics:read"),
};

const QUEUES: ServiceAccess = {
  listQueues: plain("queue:read"),
  getQueue: plain("queue:read"),
  pauseQueue: all("queue:admin"),
  resumeQueue: all("queue:admin"),
  purgeQueue: scoped("queue:admin"),
};

// What is delivered is what becomes of tasks, of whichever type.
const WEBHOOKS: ServiceAccess = {
  createWebhookEndpoint: plain("webhook:admin"),
  getWebhookEndpoint: plain("webhook:read"),
  listWebhookEndpoints: plain("webhook:read"),
  // Deliveries go where it says, whosever tasks they are about.
  updateWebhookEndpoint: all("webhook:admin"),
  deleteWebhookEndpoint: all("webhook:admin"),
  rotateWebhookSecret: all("webhook:admin"),
  testWebhookEndpoint: plain("webhook:admin"),
  listWebhookDeliveries: all("webhook:read"),
  getWebhookDelivery: all("webhook:read"),
  redeliverWebhook: all("webhook:admin"),
};

const KEYS: ServiceAccess = {
  createKey: plain("key:admin"),
  listKeys: plain("key:admin"),
  revokeKey: plain("key:admin"),
};

const AUDIT: ServiceAccess = { listAuditEntries: plain("audit:read"), watchAudit: plain("audit:read") };

/** Orchestrators and balancers have no credential to ask with. What else there is to see needs one. */
const HEALTH: ServiceAccess = { check: ANYBODY, list: AUTHENTICATED, watch: AUTHENTICATED };
const REFLECTION_V1: ServiceAccess = { serverReflectionInfo: AUTHENTICATED };
const REFLECTION_V1_ALPHA: ServiceAccess = { serverReflectionInfo: AUTHENTICATED };

const TABLE: ReadonlyMap<string, ServiceAccess> = new Map([
  [AgentService.typeName, AGENTS],
  [AuditService.typeName, AUDIT],
  [BlobService.typeName, BLOBS],
  [KeyService.typeName, KEYS],
  [MetricsService.typeName, METRICS],
  [QueueService.typeName, QUEUES],
  [WebhookService.typeName, WEBHOOKS],
  [Health.typeName, HEALTH],
  [ServerReflectionV1.typeName, REFLECTION_V1],
  [ServerReflectionV1Alpha.typeName, REFLECTION_V1_ALPHA],
]);

/** What a call needs; undefined for one of which the table says nothing, which then must not be served. */
export function accessOf({ parent, localName }: Pick<DescMethod, "parent" | "localName">): RpcAccess | undefined {
  const methods = TABLE.get(parent.typeName);
  return methods !== undefined && Object.hasOwn(methods, localName) ? methods[localName] : undefined;
}

function plain(...actions: [Action, ...Action[]]): RpcAccess {
  return { who: "allowed", actions, tasks: "none", streamToken: false };
}

function scoped(...actions: [Action, ...Action[]]): RpcAccess {
  return { who: "allowed", actions, tasks: "scoped", streamToken: false };
}

function all(...actions: [Action, ...Action[]]): RpcAccess {
  return { who: "allowed", actions, tasks: "all", streamToken: false };
}

function byStreamToken(...actions: [Action, ...Action[]]): RpcAccess {
  return { who: "allowed", actions, tasks: "scoped", streamToken: true };
}
