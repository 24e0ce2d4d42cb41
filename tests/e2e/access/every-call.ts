// A request for every call of the mesh, about things that have ids, and what comes of making it: what the matrix of access is made of.
import {
  create,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { readDetails } from "../../../lib/rpc/rich-error.ts";

/** What a tenant has. */
export interface Ids {
  readonly agentId: string;
  readonly taskId: string;
  readonly deadId: string;
  readonly queue: string;
  readonly type: string;
  readonly endpointId: string;
  readonly deliveryId: string;
  readonly blobId: string;
  readonly keyId: string;
}

/** What came of a call. */
export type Outcome =
  | { readonly kind: "answer"; readonly json: string }
  | { readonly kind: "refusal"; readonly code: number; readonly said: unknown };

type AnyRequest = MessageInitShape<DescMethod["input"]>;

const submission = ({ type, queue }: Ids, taskId: string): AnyRequest => ({ taskId, type, queue });

/** By service and method, the request about these things. */
const REQUESTS: Readonly<Record<string, (ids: Ids) => AnyRequest>> = {
  "AgentService/RegisterAgent": ({ agentId, type }) => ({ agentId, name: "an agent", capabilities: [{ type }] }),
  "AgentService/DeregisterAgent": ({ agentId }) => ({ agentId }),
  "AgentService/RevokeAgent": ({ agentId }) => ({ agentId }),
  "AgentService/RestoreAgent": ({ agentId }) => ({ agentId }),
  "AgentService/GetAgent": ({ agentId }) => ({ agentId }),
  "AgentService/ListAgents": () => ({}),
  "AgentService/WatchAgents": () => ({}),
  "AgentService/SubmitTask": (ids) => submission(ids, ids.taskId),
  "AgentService/BatchSubmitTasks": (ids) => ({ tasks: [submission(ids, ids.taskId)] }),
  "AgentService/SubmitTaskStream": (ids) => ({ task: submission(ids, ids.taskId) }),
  "AgentService/RunTask": (ids) => ({ task: submission(ids, ids.taskId) }),
  "AgentService/GetTaskStatus": ({ taskId }) => ({ taskId }),
  "AgentService/GetTask": ({ taskId }) => ({ taskId }),
  "AgentService/ExplainTask": ({ taskId }) => ({ taskId }),
  "AgentService/ListTasks": () => ({}),
  "AgentService/CountTasks": () => ({}),
  "AgentService/StreamResults": ({ taskId }) => ({ taskId }),
  "AgentService/WatchTasks": () => ({}),
  "AgentService/CancelTask": ({ taskId }) => ({ taskId }),
  "AgentService/RetryTask": ({ deadId }) => ({ taskId: deadId }),
  "AgentService/ListDeadLetters": () => ({}),
  "AgentService/IssueStreamToken": ({ taskId }) => ({ scope: { case: "taskId", value: taskId } }),
  "AuditService/ListAuditEntries": () => ({}),
  "AuditService/WatchAudit": () => ({}),
  "BlobService/UploadBlob": () => ({ part: { case: "open", value: {} } }),
  "BlobService/DownloadBlob": ({ blobId }) => ({ blobId }),
  "KeyService/CreateKey": () => ({ roles: ["reader"] }),
  "KeyService/ListKeys": () => ({}),
  "KeyService/RevokeKey": ({ keyId }) => ({ keyId }),
  "MetricsService/GetMetrics": () => ({}),
  "MetricsService/WatchMetrics": () => ({}),
  "QueueService/ListQueues": () => ({}),
  "QueueService/GetQueue": ({ queue }) => ({ queue }),
  "QueueService/PauseQueue": ({ queue }) => ({ queue }),
  "QueueService/ResumeQueue": ({ queue }) => ({ queue }),
  "QueueService/PurgeQueue": ({ queue }) => ({ queue }),
  "WebhookService/CreateWebhookEndpoint": ({ endpointId }) => ({ endpointId, url: "http://127.0.0.1:9/" }),
  "WebhookService/GetWebhookEndpoint": ({ endpointId }) => ({ endpointId }),
  "WebhookService/ListWebhookEndpoints": () => ({}),
  "WebhookService/UpdateWebhookEndpoint": ({ endpointId }) => ({ endpointId, description: "changed" }),
  "WebhookService/DeleteWebhookEndpoint": ({ endpointId }) => ({ endpointId }),
  "WebhookService/RotateWebhookSecret": ({ endpointId }) => ({ endpointId }),
  "WebhookService/TestWebhookEndpoint": ({ endpointId }) => ({ endpointId }),
  "WebhookService/ListWebhookDeliveries": () => ({}),
  "WebhookService/GetWebhookDelivery": ({ deliveryId }) => ({ deliveryId }),
  "WebhookService/RedeliverWebhook": ({ deliveryId }) => ({ deliveryId }),
};

/** How a method is called in this table. */
export function callName({ parent, name }: DescMethod): string {
  return `${parent.name}/${name}`;
}

/** The methods that have no request here. */
export function withoutRequest(services: readonly DescService[]): readonly string[] {
  return services.flatMap(({ methods }) => methods.map(callName)).filter((name) => !Object.hasOwn(REQUESTS, name));
}

type AnyCall = (request: unknown, options: { readonly headers: HeadersInit }) => unknown;

/** Makes a call, of a stream until its first answer, and tells what came of it. */
export async function outcomeOf(
  transport: Transport,
  method: DescMethod,
  ids: Ids,
  authorization: string | undefined,
): Promise<Outcome> {
  const request = REQUESTS[callName(method)]!(ids);
  const client = createClient(method.parent, transport) as unknown as Record<string, AnyCall>;
  const streams = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  const options = { headers: authorization === undefined ? {} : { authorization } };
  try {
    const answer = client[method.localName]!(streams ? only(create(method.input, request)) : request, options);
    const message = isStream(answer) ? await first(answer) : ((await answer) as Message);
    return { kind: "answer", json: message === undefined ? "" : JSON.stringify(toJson(method.output, message)) };
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return { kind: "refusal", code, said: { message: rawMessage, ...readDetails(ConnectError.from(error)) } };
  }
}

/** An outcome in which no id stands any more that a request may have named. */
export function withoutIds(outcome: Outcome, ids: Ids): Outcome {
  if (outcome.kind === "answer") return { kind: "answer", json: "" };
  // One may be part of another.
  const all: readonly string[] = Object.values(ids).toSorted((a: string, b: string) => b.length - a.length);
  const text = all.reduce((text, id) => text.replaceAll(id, "…"), JSON.stringify(outcome));
  return JSON.parse(text) as Outcome;
}

async function* only<T>(message: T): AsyncGenerator<T> {
  yield message;
}

function isStream(answer: unknown): answer is AsyncIterable<Message> {
  return typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer;
}

async function first(messages: AsyncIterable<Message>): Promise<Message | undefined> {
  for await (const message of messages) return message;
  return undefined;
}
