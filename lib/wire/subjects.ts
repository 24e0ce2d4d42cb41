// Every NATS subject, stream, bucket and consumer name: built and parsed here and nowhere else.

import { isName, MAX_TASK_ID_LENGTH } from "../core/names.ts";

/** The stream of dispatches and state events. Written by coordinators only. */
export const TASKS_STREAM = "MYCEL_TASKS";
/** The stream of streamed partial results. Written by agents, each under its own id, and fenced by coordinators. */
export const OUTPUT_STREAM = "MYCEL_OUTPUT";
/** The stream of schedules and fired timers. Written by coordinators only. */
export const TIMERS_STREAM = "MYCEL_TIMERS";
/** The key-value bucket of registered agents. */
export const AGENTS_BUCKET = "MYCEL_AGENTS";
/** The key-value bucket of the credentials that agents hold. */
export const CREDENTIALS_BUCKET = "MYCEL_CREDENTIALS";
/** The key-value bucket of agents that are shut out. */
export const REVOCATIONS_BUCKET = "MYCEL_REVOCATIONS";
/** The key-value bucket in which coordinators take on roles. */
export const ROLES_BUCKET = "MYCEL_ROLES";
/** The key-value bucket of what is kept of queues. */
export const QUEUES_BUCKET = "MYCEL_QUEUES";
/** The key-value bucket of what coordinators agree on about the bus's trust: the credentials that were taken back. */
export const TRUST_BUCKET = "MYCEL_TRUST";
/** The key-value bucket of API keys, and of the secrets that sign stream tokens. */
export const KEYS_BUCKET = "MYCEL_KEYS";
/** The object-store bucket of blobs. */
export const BLOBS_BUCKET = "MYCEL_BLOBS";
/** The stream of webhook endpoints. Written by coordinators only, as the two that follow. */
export const WEBHOOK_ENDPOINTS_STREAM = "MYCEL_WEBHOOK_ENDPOINTS";
/** The stream of tasks whose states are to be delivered. */
export const WEBHOOK_HOOKS_STREAM = "MYCEL_WEBHOOK_HOOKS";
/** The stream of webhook deliveries. */
export const WEBHOOK_DELIVERIES_STREAM = "MYCEL_WEBHOOK_DELIVERIES";
/** The stream of the audit log. Written by coordinators only; nothing in it is ever changed or deleted. */
export const AUDIT_STREAM = "MYCEL_AUDIT";

/** The stream in which JetStream keeps a key-value bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** Where a key of a bucket stands; of several, if it is a pattern. */
export function bucketSubject(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

/** The key that stands under a subject of a bucket. */
export function keyIn(bucket: string, subject: string): string {
  return subject.slice(bucketSubject(bucket, "").length);
}

/** What the tasks stream stores. */
export const TASKS_SUBJECTS = "task.>";
/** What the output stream stores. */
export const OUTPUT_SUBJECTS = "out.>";
/** The outputs of all agents: what {@link outputSubject} makes, and nothing else of the stream. */
export const OUTPUT_SUBJECTS_OF_AGENTS = "out.*.*.*.*";
/** What the timers stream stores. */
export const TIMERS_SUBJECTS = "timer.>";

/** Where stored state events are republished for readers: source and destination of the stream's republish setting. */
export const EVENT_REPUBLISH: { readonly src: string; readonly dest: string } = {
  src: "task.*.*.e",
  dest: "live.{{wildcard(1)}}.{{wildcard(2)}}.e",
};
/** Where stored outputs are republished for readers. */
export const OUTPUT_REPUBLISH: { readonly src: string; readonly dest: string } = {
  src: "out.*.*.*.*",
  dest: "live.{{wildcard(1)}}.{{wildcard(2)}}.o.{{wildcard(3)}}.{{wildcard(4)}}",
};

/** What the streams of webhooks store: one record a subject. */
export const WEBHOOK_ENDPOINT_SUBJECTS = "webhook.endpoint.*.*";
/** See {@link WEBHOOK_ENDPOINT_SUBJECTS}. */
export const WEBHOOK_HOOK_SUBJECTS = "webhook.hook.*.*";
/** See {@link WEBHOOK_ENDPOINT_SUBJECTS}. */
export const WEBHOOK_DELIVERY_SUBJECTS = "webhook.delivery.*.*";
/** Where stored hooks are republished for whoever follows them. */
export const WEBHOOK_HOOK_REPUBLISH: { readonly src: string; readonly dest: string } = {
  src: WEBHOOK_HOOK_SUBJECTS,
  dest: "hooked.{{wildcard(1)}}.{{wildcard(2)}}",
};
/** What is heard of hooks as they are stored. */
export const WEBHOOK_HOOKED_FILTER = "hooked.*.*";

/** What the audit stream stores: the entries of a writer in a tenant. */
export const AUDIT_SUBJECTS = "audit.*.*";
/** Where stored audit entries are republished for whoever watches them. */
export const AUDIT_REPUBLISH: { readonly src: string; readonly dest: string } = {
  src: AUDIT_SUBJECTS,
  dest: "audited.{{wildcard(1)}}.{{wildcard(2)}}",
};

/** Stands for no tenant. Not a name, so that none can be called so. */
const NO_TENANT = "~";

/** The chain of a writer in a tenant; an empty tenant is none. */
export function auditSubject(tenant: string, writer: string): string {
  return `audit.${tenant || NO_TENANT}.${writer}`;
}

/** All chains of a tenant; an empty tenant is none. Every writer that begins a chain must use this very string as its compare-and-set filter. */
export function auditFilter(tenant: string): string {
  return auditSubject(tenant, "*");
}

/** Where is heard of a tenant's audit entries as they are stored. */
export function auditedFilter(tenant: string): string {
  return `audited.${tenant || NO_TENANT}.*`;
}

/** How spans name every dispatch's subject: the template, because subjects are without number. */
export const DISPATCH_TEMPLATE = "task.{tenant}.{task}.q.{queue}.{priority}";

/** A dispatch of a task: the work item. */
export function dispatchSubject(tenant: string, taskId: string, queue: string, priority: number): string {
  return `task.${tenant}.${taskId}.q.${queue}.${priority}`;
}

/** All dispatches of a task. Every writer must use this very string as its compare-and-set filter. */
export function dispatchFilter(tenant: string, taskId: string): string {
  return `task.${tenant}.${taskId}.q.>`;
}

/** The state chain of a task. */
export function eventSubject(tenant: string, taskId: string): string {
  return `task.${tenant}.${taskId}.e`;
}

/** Everything in the tasks stream about a task. */
export function taskFilter(tenant: string, taskId: string): string {
  return `task.${tenant}.${taskId}.>`;
}

/** What a queue's consumer at a priority delivers. */
export function laneFilter(tenant: string, queue: string, priority: number): string {
  return `task.${tenant}.*.q.${queue}.${priority}`;
}

/** The durable consumer of a queue at a priority. */
export function laneConsumer(tenant: string, queue: string, priority: number): string {
  return `${tenant}=${queue}=${priority}`;
}

/** What the name of a lane's consumer says; undefined if it is none. */
export function parseLaneConsumer(
  consumer: string,
): { readonly tenant: string; readonly queue: string; readonly priority: number } | undefined {
  const [tenant, queue, priority, ...rest] = consumer.split("=");
  const parsed = numberOf(priority);
  if (tenant === undefined || queue === undefined || parsed === undefined || rest.length > 0) return undefined;
  return { tenant, queue, priority: parsed };
}

/** The outputs of one attempt. */
export function outputSubject(tenant: string, taskId: string, agentId: string, attempt: number): string {
  return `out.${tenant}.${taskId}.${agentId}.${attempt}`;
}

/** All outputs of a task. */
export function outputFilter(tenant: string, taskId: string): string {
  return `out.${tenant}.${taskId}.>`;
}

/** Where readers hear of everything that is stored about a task. */
export function liveFilter(tenant: string, taskId: string): string {
  return `live.${tenant}.${taskId}.>`;
}

/** Where is heard of every event of a tenant's tasks as it is stored. */
export function liveEventsFilter(tenant: string): string {
  return `live.${tenant}.*.e`;
}

/** Where every dispatch of a tenant's tasks is sent to be stored, which may be refused. */
export function dispatchesFilter(tenant: string): string {
  return `task.${tenant}.*.q.*.*`;
}

/** Where is heard of the events of one task as they are stored. */
export function liveEventSubject(tenant: string, taskId: string): string {
  return `live.${tenant}.${taskId}.e`;
}

/** The schedule of a timer. One schedule a subject: setting it again replaces it. */
export function timerSubject(tenant: string, taskId: string, kind: string): string {
  return `timer.set.${tenant}.${taskId}.${kind}`;
}

/** Where a timer arrives when it is due. */
export function timerFiredSubject(tenant: string, taskId: string, kind: string): string {
  return `timer.fired.${tenant}.${taskId}.${kind}`;
}

/** Every delayed submission of every tenant. */
export const DELAYED_FILTER = "task.*.*.q._delayed.*";
/** The durable consumer that coordinators share for delayed submissions. */
export const DELAYED_CONSUMER = "delayed";

/** Every timer that is due. */
export const TIMERS_FIRED = "timer.fired.>";
/** The durable consumer that coordinators share for timers that are due. */
export const TIMERS_CONSUMER = "timers";
/** The timers of a task, set and fired. */
export function timerFilters(tenant: string, taskId: string): readonly [string, string] {
  return [`timer.set.${tenant}.${taskId}.>`, `timer.fired.${tenant}.${taskId}.>`];
}

/** What an agent may ask of the coordinators. */
export type AgentVerb = "report" | "heartbeat";

/** Where an agent sends a request. */
export function agentSubject(tenant: string, agentId: string, verb: AgentVerb): string {
  return `mycel.agent.${tenant}.${agentId}.${verb}`;
}

/** Where coordinators listen for a verb of all agents. */
export function agentVerbFilter(verb: AgentVerb): string {
  return `mycel.agent.*.*.${verb}`;
}

/** Where an agent gets its signals. */
export function signalSubject(tenant: string, agentId: string): string {
  return `mycel.signal.${tenant}.${agentId}`;
}

/** The signals of all agents. */
export const SIGNALS_FILTER = "mycel.signal.*.*";

/** The prefix of an agent's inboxes. Names have no dots, so that it is nobody else's; and it lies outside of the coordinators' own. */
export function inboxPrefix(tenant: string, agentId: string): string {
  return `_AGENT_INBOX.${tenant}.${agentId}`;
}

/**
 * Whether a reply subject lies in the inboxes of this prefix. Whoever answers a request publishes with its own rights, and the broker lets
 * anybody name any reply subject: an answer must not become a command to the broker, a message in a log, or somebody else's request.
 */
export function isInInbox(reply: string | undefined, prefix: string): boolean {
  return reply !== undefined && reply.startsWith(`${prefix}.`);
}

/**
 * Whether the broker has replaced the reply subject: the request comes from another account, and the answer goes back to that one whatever
 * stood there. No client can name such a subject itself: the broker refuses it.
 */
export function isFromOtherAccount(reply: string | undefined): boolean {
  return reply !== undefined && reply.startsWith("_R_.");
}

/** The prefix of the coordinators' own inboxes. */
export const COORDINATOR_INBOX = "_INBOX";

/** Where coordinators ask the index. */
export function indexSubject(verb: string): string {
  return `mycel.index.${verb}`;
}

/** Where the holder of a role says that it has laid it down. */
export function roleSubject(role: string): string {
  return `mycel.role.${role}`;
}

/** Where a webhook endpoint stands. */
export function webhookEndpointSubject(tenant: string, endpointId: string): string {
  return `webhook.endpoint.${tenant}.${endpointId}`;
}

/** Where all webhook endpoints of a tenant stand. */
export function webhookEndpointFilter(tenant: string): string {
  return `webhook.endpoint.${tenant}.*`;
}

/** Where the hook of a task stands. */
export function webhookHookSubject(tenant: string, taskId: string): string {
  return `webhook.hook.${tenant}.${taskId}`;
}

/** Where a webhook delivery stands. */
export function webhookDeliverySubject(tenant: string, deliveryId: string): string {
  return `webhook.delivery.${tenant}.${deliveryId}`;
}

/** Ids of deliveries have a task's id in them, and a sequence. */
const MAX_WEBHOOK_ID_LENGTH = 128;

/** Reads the subject of a record of webhooks, or its republished form; undefined if it is none. */
export function parseWebhookSubject(
  subject: string,
  kind: "endpoint" | "hook" | "delivery",
): { readonly tenant: string; readonly id: string } | undefined {
  const tokens = subject.split(".");
  const head = tokens.slice(0, -2).join(".");
  const [tenant, id] = tokens.slice(-2);
  const known = head === `webhook.${kind}` || (kind === "hook" && head === "hooked");
  if (!known || tenant === undefined || id === undefined) return undefined;
  // A wildcard may stand in a subject as it is; as a name it would stand for everybody's.
  return isName(tenant) && isName(id, MAX_WEBHOOK_ID_LENGTH) ? { tenant, id } : undefined;
}

/** Where coordinators ask the one that delivers webhooks. */
export function webhooksSubject(verb: string): string {
  return `mycel.webhooks.${verb}`;
}

/** The queue group in which coordinators share requests. */
export const COORDINATORS_GROUP = "coordinators";

// Numbers have one spelling: a second one for the same number would be a subject of its own with rights of its own.
const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;

function numberOf(token: string | undefined): number | undefined {
  return token !== undefined && NUMBER.test(token) ? Number(token) : undefined;
}

/** What the subject of a stored message in the tasks stream says. */
export type TaskSubject =
  | {
      readonly kind: "dispatch";
      readonly tenant: string;
      readonly taskId: string;
      readonly queue: string;
      readonly priority: number;
    }
  | { readonly kind: "event"; readonly tenant: string; readonly taskId: string };

/** Reads a subject of the tasks stream; undefined if it is none. */
export function parseTaskSubject(subject: string): TaskSubject | undefined {
  const [root, tenant, taskId, mark, queue, priority, ...rest] = subject.split(".");
  if (root !== "task" || tenant === undefined || taskId === undefined) return undefined;
  if (mark === "e" && queue === undefined) return { kind: "event", tenant, taskId };
  const parsed = numberOf(priority);
  if (mark !== "q" || queue === undefined || parsed === undefined || rest.length > 0) return undefined;
  return { kind: "dispatch", tenant, taskId, queue, priority: parsed };
}

/** Reads a subject of the output stream, or its republished form; undefined if it is none. */
export function parseOutputSubject(
  subject: string,
):
  | { readonly tenant: string; readonly taskId: string; readonly agentId: string; readonly attempt: number }
  | undefined {
  const tokens = subject.split(".");
  const at =
    tokens[0] === "out" && tokens.length === 5
      ? 3
      : tokens[0] === "live" && tokens[3] === "o" && tokens.length === 6
        ? 4
        : 0;
  const [tenant, taskId, agentId, attempt] = [tokens[1], tokens[2], tokens[at], numberOf(tokens[at + 1])];
  if (at === 0 || tenant === undefined || taskId === undefined || agentId === undefined || attempt === undefined)
    return undefined;
  return { tenant, taskId, agentId, attempt };
}

/** Reads the subject of an agent's request; undefined if it is none, or what should name tenant and agent are no names. */
export function parseAgentSubject(
  subject: string,
): { readonly tenant: string; readonly agentId: string; readonly verb: string } | undefined {
  const [mycel, agent, tenant, agentId, verb, ...rest] = subject.split(".");
  if (mycel !== "mycel" || agent !== "agent" || tenant === undefined || agentId === undefined || verb === undefined)
    return undefined;
  // A wildcard may stand in a subject as it is; as a name it would stand for everybody's.
  return rest.length > 0 || !isName(tenant) || !isName(agentId) ? undefined : { tenant, agentId, verb };
}

/** What the reply subject of a delivery says. */
export interface DeliverySubject {
  readonly stream: string;
  readonly consumer: string;
  /** How often the message has been delivered, from 1. */
  readonly deliveries: number;
  /** The stream sequence of the message. */
  readonly sequence: number;
  /** Names the delivery within its consumer. */
  readonly consumerSequence: number;
  /** When the message was stored, by the broker's clock, in milliseconds since 1970. */
  readonly storedMs: number;
  /** How many messages the consumer had not delivered yet; NaN if it isn't said. */
  readonly pending: number;
}

// It comes from an agent, and the coordinator publishes to it: nothing may stand in it that could mean another subject.
const TOKEN = "[^.\\s*>]+";
const COUNT = "([1-9][0-9]{0,15})";
const FACTS = `(${TOKEN})\\.(${TOKEN})\\.${COUNT}\\.${COUNT}\\.(0|[1-9][0-9]{0,15})\\.(${TOKEN})\\.(${TOKEN})`;
// One match reads it whole, as agents and coordinators do once for each task: taking it apart at the dots takes twice as long.
const SHORT_DELIVERY = new RegExp(`^\\$JS\\.ACK\\.${FACTS}$`);
const LONG_DELIVERY = new RegExp(`^\\$JS\\.ACK\\.${TOKEN}\\.${TOKEN}\\.${FACTS}(?:\\.${TOKEN})*$`);

/** Reads the reply subject of a delivery, in its short and its long form (ADR-15); undefined if it is none. */
export function parseDeliverySubject(subject: string): DeliverySubject | undefined {
  const match = SHORT_DELIVERY.exec(subject) ?? LONG_DELIVERY.exec(subject);
  if (match === null) return undefined;
  const [, stream, consumer, deliveries, sequence, consumerSequence, storedNanos, pending] = match;
  // Nanoseconds are beyond what a number holds exactly; milliseconds are not.
  const storedMs = Number(storedNanos) / 1_000_000;
  if (stream === undefined || consumer === undefined || !(storedMs >= 0)) return undefined;
  return {
    stream,
    consumer,
    deliveries: Number(deliveries),
    sequence: Number(sequence),
    consumerSequence: Number(consumerSequence),
    storedMs,
    pending: Number(pending),
  };
}

const FLOW_CONTROL = new RegExp(`^\\$JS\\.FC\\.(?:${TOKEN}\\.${TOKEN}\\.)?(${TOKEN})\\.(${TOKEN})\\.${TOKEN}$`);

/** Reads the subject on which a push consumer waits before it delivers more, in its short and its long form; undefined if it is none. */
export function parseFlowControlSubject(
  subject: string,
): { readonly stream: string; readonly consumer: string } | undefined {
  const [, stream, consumer] = FLOW_CONTROL.exec(subject) ?? [];
  return stream === undefined || consumer === undefined ? undefined : { stream, consumer };
}

/** Reads the subject of a timer that has fired; undefined if it is none. */
export function parseTimerSubject(
  subject: string,
): { readonly tenant: string; readonly taskId: string; readonly name: string } | undefined {
  const [timer, fired, tenant, taskId, name, ...rest] = subject.split(".");
  if (timer !== "timer" || fired !== "fired" || tenant === undefined || taskId === undefined || name === undefined)
    return undefined;
  if (rest.length > 0 || !isName(tenant) || !isName(taskId, MAX_TASK_ID_LENGTH)) return undefined;
  return { tenant, taskId, name };
}
