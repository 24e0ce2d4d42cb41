// The bounds of every field that a request can carry, as the contract's comments state them, with values at, below and above each.
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { MAX_INLINE_PAYLOAD_BYTES, MAX_JSON_DEPTH } from "../../lib/core/limits.ts";

/** A value of a field, and whether the contract allows it. */
export interface FieldCase {
  readonly name: string;
  readonly value: unknown;
  readonly fits: boolean;
}

/** A field that a request can carry, and the way to it. */
export interface FieldPath {
  readonly fields: readonly DescField[];
  /** As a google.rpc.BadRequest names it. */
  readonly text: string;
  /** The key of its bounds. */
  readonly key: string;
}

const DAY_S = 86_400n;
const NANO = 1;

const fits = (name: string, value: unknown): FieldCase => ({ name, value, fits: true });
const breaks = (name: string, value: unknown): FieldCase => ({ name, value, fits: false });

function name(max: number, presence: "required" | "optional"): FieldCase[] {
  const none = presence === "required" ? breaks : fits;
  return [
    none("unset", ""),
    fits("one character", "a"),
    fits("all kinds of characters", "aZ_-09"),
    fits("the longest", "n".repeat(max)),
    breaks("one character too long", "n".repeat(max + 1)),
    ...[".", "*", ">", " ", "/", "é", "\u0000", "a\n", "\u{1f30d}", "a.b"].map((bad) =>
      breaks(JSON.stringify(bad), bad),
    ),
  ];
}

/** A public key of a user of NATS, and what almost is one. */
function publicKey(): FieldCase[] {
  const key = "UBYKGMFQTLSFIQE5JO2FJOW2NSJU6JL7IFDEUYPOMC6I45DQL46Y62HK";
  return [
    fits("unset", ""),
    fits("a key", key),
    breaks("one character short", key.slice(0, -1)),
    breaks("one character too long", `${key}A`),
    breaks("with a wrong checksum", `${key.slice(0, -2)}AA`),
    breaks("of an account", `A${key.slice(1)}`),
    breaks("with a seed's letter", `S${key.slice(1)}`),
    breaks("in small letters", key.toLowerCase()),
    breaks("far too long", key.repeat(1_000)),
  ];
}

function text(max: number, presence: "required" | "optional" = "optional"): FieldCase[] {
  const none = presence === "required" ? breaks : fits;
  return [
    none("empty", ""),
    fits("one character", "x"),
    fits("the longest", "x".repeat(max)),
    breaks("one too long", "x".repeat(max + 1)),
    breaks("far too long", "x".repeat(100_000)),
  ];
}

function integer(min: number, max: number): FieldCase[] {
  return [
    fits("unset", 0),
    fits("the least", min),
    fits("the most", max),
    breaks("one below 0", -1),
    breaks("one above", max + 1),
    breaks("the least there is", -(2 ** 31)),
    breaks("the most there is", 2 ** 31 - 1),
  ];
}

function duration(min: readonly [bigint, number], max: bigint): FieldCase[] {
  const at = ([seconds, nanos]: readonly [bigint, number]): object => ({ seconds, nanos });
  const below =
    min[1] > 0
      ? ([min[0], min[1] - NANO] as const)
      : min[0] > 0n
        ? ([min[0] - 1n, 999_999_999] as const)
        : ([0n, -NANO] as const);
  return [
    fits("the least", at(min)),
    fits("not whole milliseconds", { seconds: min[0] + 1n, nanos: 1 }),
    fits("the most", at([max, 0])),
    breaks("a nanosecond below", at(below)),
    breaks("a nanosecond above", at([max, NANO])),
    breaks("negative", at([-1n, 0])),
    breaks("of two signs", at([1n, -NANO])),
    breaks("with a second of nanos", at([1n, 1_000_000_000])),
    breaks("the longest there is", at([2n ** 63n - 1n, 2 ** 31 - 1])),
    breaks("the shortest there is", at([-(2n ** 63n), -(2 ** 31)])),
  ];
}

function timestamp(): FieldCase[] {
  return [
    fits("the first", { seconds: -62_135_596_800n, nanos: 0 }),
    breaks("before the first", { seconds: -62_135_596_801n, nanos: 999_999_999 }),
    breaks("with negative nanos", { seconds: 0n, nanos: -1 }),
    breaks("with a second of nanos", { seconds: 0n, nanos: 1_000_000_000 }),
    breaks("after the last", { seconds: 253_402_300_800n, nanos: 0 }),
    breaks("at the end of all numbers", { seconds: 2n ** 63n - 1n, nanos: 2 ** 31 - 1 }),
  ];
}

function labels(most: number): FieldCase[] {
  const many = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));
  return [
    fits("none", {}),
    fits("the most", many(most)),
    fits("of the longest", { ["k".repeat(63)]: "v".repeat(255) }),
    fits("that objects have by themselves", { constructor: "x", toString: "", hasOwnProperty: "y" }),
    breaks("one too many", many(most + 1)),
    breaks("10,000", many(10_000)),
    breaks("with an empty key", { "": "v" }),
    breaks("with a key too long", { ["k".repeat(64)]: "v" }),
    breaks("with a value too long", { k: "v".repeat(256) }),
  ];
}

function items(least: number, most: number, item: (i: number) => unknown): FieldCase[] {
  const some = (length: number): unknown[] => Array.from({ length }, (_, i) => item(i));
  return [
    (least === 0 ? fits : breaks)("none", []),
    fits("one", some(1)),
    fits("the most", some(most)),
    breaks("one too many", some(most + 1)),
    breaks("10,000", some(10_000)),
  ];
}

const metricTypes: FieldCase[] = [
  ...items(0, 100, (i) => `t${i}`),
  breaks("a wildcard", ["*"]),
  breaks("an empty one", [""]),
  breaks("one too long", ["t".repeat(65)]),
];

const known = (...values: number[]): FieldCase[] => [
  ...values.map((value) => fits(`${value}`, value)),
  ...[-1, 3, 77, 2 ** 31 - 1, -(2 ** 31)].map((value) => breaks(`${value}`, value)),
];

const queueName = [
  ...name(64, "required"),
  breaks("a system queue", "_delayed"),
  breaks("the other system queue", "_withdrawn"),
];

const webhookUrl = [
  breaks("empty", ""),
  fits("of a name", "https://example.com/hooks?a=b"),
  fits("of a public address", "http://1.1.1.1:8080/"),
  fits("the longest", `https://example.com/${"x".repeat(2_048 - 20)}`),
  breaks("one too long", `https://example.com/${"x".repeat(2_048 - 19)}`),
  ...[
    "example.com",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://",
    "http://user:password@example.com/",
    "https://example.com/#part",
    "http://127.0.0.1/",
    "http://10.1.2.3/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://[::1]/",
    "http://[::ffff:169.254.169.254]/",
    "\u0000",
  ].map((bad) => breaks(JSON.stringify(bad), bad)),
];
const webhookSecret = [
  fits("unset", ""),
  fits("the shortest", `whsec_${"A".repeat(32)}`),
  fits("the longest", `whsec_${"A".repeat(86)}==`),
  breaks("one byte too short", `whsec_${"A".repeat(31)}=`),
  breaks("one byte too long", `whsec_${"A".repeat(87)}=`),
  breaks("of another kind", `whpk_${"A".repeat(32)}`),
  breaks("no base64", `whsec_${"!".repeat(32)}`),
  breaks("far too long", `whsec_${"A".repeat(100_000)}`),
];

const auditPatterns = (longest: number): FieldCase[] => [
  ...items(0, 64, (i) => `p${i}*`),
  fits("the longest", ["p".repeat(longest)]),
  fits("of wildcards alone", ["*".repeat(longest)]),
  breaks("one too long", ["p".repeat(longest + 1)]),
  breaks("an empty one", ["p", ""]),
];

const flag = [fits("true", true), fits("false", false)];
const pageSize = [
  fits("unset", 0),
  fits("one", 1),
  fits("the most", 1_000),
  fits("more", 2 ** 31 - 1),
  breaks("negative", -1),
  breaks("the least there is", -(2 ** 31)),
];
const pageToken = [
  fits("the first page", ""),
  breaks("garbage", "garbage"),
  breaks("long garbage", "A".repeat(10_000)),
  breaks("control characters", "\u0000\n"),
];
const kinds = [
  fits("all", []),
  fits("each", [1, 2, 3, 4]),
  fits(
    "one often",
    Array.from({ length: 10_000 }, () => 2),
  ),
  breaks("none that is known", [0]),
  breaks("a far one", [2 ** 31 - 1]),
  breaks("one behind others", [1, 2, -1]),
];

const nested = (levels: number, inner: object): object =>
  levels === 0
    ? inner
    : {
        kind:
          levels % 2 === 0
            ? { case: "listValue", value: { values: [nested(levels - 1, inner)] } }
            : { case: "structValue", value: { fields: { k: nested(levels - 1, inner) } } },
      };
const scalar = (kind: string, value: unknown): object => ({ kind: { case: kind, value } });
/** Bytes that a Value needs beside a text of over 64 KiB: two tags, two lengths of three bytes. */
const VALUE_BYTES = 8;

/** The bounds by message and field. A field that a request can carry and that is not here fails the test. */
export const BOUNDS: Readonly<Record<string, readonly FieldCase[]>> = {
  "RegisterAgentRequest.agent_id": name(64, "optional"),
  "RegisterAgentRequest.name": text(64, "required"),
  "RegisterAgentRequest.version": text(64),
  "RegisterAgentRequest.capabilities": items(1, 64, (i) => ({ type: `c${i}`, queue: "fuzz" })),
  "RegisterAgentRequest.concurrency": integer(1, 1_000),
  "RegisterAgentRequest.labels": labels(32),
  "RegisterAgentRequest.public_key": publicKey(),
  "Capability.type": [...name(64, "required")],
  "Capability.queue": [
    ...name(64, "optional"),
    breaks("a system queue", "_delayed"),
    breaks("the other system queue", "_withdrawn"),
  ],
  "Capability.description": text(1_024),
  "DeregisterAgentRequest.agent_id": name(64, "required"),
  "RevokeAgentRequest.agent_id": name(64, "required"),
  "RevokeAgentRequest.reason": text(1_024),
  "RestoreAgentRequest.agent_id": name(64, "required"),
  "GetAgentRequest.agent_id": name(64, "required"),
  "ListAgentsRequest.page_size": pageSize,
  "ListAgentsRequest.page_token": name(64, "optional"),
  "ListAgentsRequest.type": name(64, "optional"),
  "ListAgentsRequest.show_revoked": flag,
  "WatchAgentsRequest.type": name(64, "optional"),
  "SubmitTaskRequest.task_id": name(100, "optional"),
  "SubmitTaskRequest.request_id": text(256),
  "SubmitTaskRequest.type": [...name(64, "required"), breaks("a system queue", "_delayed")],
  "SubmitTaskRequest.priority": known(0, 1, 5, 10, 15),
  "SubmitTaskRequest.queue": [...name(64, "optional"), breaks("a system queue", "_withdrawn")],
  "SubmitTaskRequest.labels": labels(32),
  "SubmitTaskRequest.result_ttl": duration([1n, 0], 6n * DAY_S),
  "SubmitTaskRequest.start_time": [
    ...timestamp(),
    fits("in the past", { seconds: 1n, nanos: 0 }),
    fits("in five days", { seconds: BigInt(Math.trunc(Date.now() / 1_000)) + 5n * DAY_S, nanos: 1 }),
    breaks("in seven days", { seconds: BigInt(Math.trunc(Date.now() / 1_000)) + 7n * DAY_S, nanos: 0 }),
    breaks("the last", { seconds: 253_402_300_799n, nanos: 999_999_999 }),
  ],
  "SubmitTaskRequest.delay": duration([0n, 0], 6n * DAY_S),
  "TaskWebhook.endpoint_id": name(64, "required"),
  "TaskWebhook.all_states": flag,
  "Timeouts.schedule_to_start": duration([1n, 0], 6n * DAY_S),
  "Timeouts.start_to_close": duration([0n, 10_000_000], DAY_S),
  "Timeouts.schedule_to_close": duration([1n, 0], 6n * DAY_S),
  "Timeouts.heartbeat": duration([1n, 0], 3_600n),
  "RetryPolicy.maximum_attempts": integer(1, 100),
  "RetryPolicy.initial_interval": duration([0n, 0], DAY_S),
  "RetryPolicy.backoff_coefficient": [
    ...[0, 1, 1.000_001, 10].map((value) => fits(`${value}`, value)),
    ...[0.999_999, 10.000_001, -1, Number.NaN, Infinity, -Infinity, 5e-324, 1e308].map((value) =>
      breaks(`${value}`, value),
    ),
  ],
  "RetryPolicy.maximum_interval": duration([0n, 0], DAY_S),
  "RetryPolicy.non_retryable_reasons": [
    ...items(0, 32, (i) => `R${i}`),
    fits("the longest", ["R".repeat(63)]),
    breaks("one too long", ["R".repeat(64)]),
    breaks("an empty one", ["R", ""]),
  ],
  "Payload.json": [
    fits("null", scalar("nullValue", 0)),
    fits("the largest number", scalar("numberValue", 1.797_693_134_862_315_7e308)),
    fits("a text of all kinds", scalar("stringValue", "\u0000 \u001b ünï \u{1f30d}")),
    fits("the deepest", nested(MAX_JSON_DEPTH, scalar("boolValue", true))),
    fits("the largest", scalar("stringValue", "x".repeat(MAX_INLINE_PAYLOAD_BYTES - VALUE_BYTES))),
    breaks("one byte larger", scalar("stringValue", "x".repeat(MAX_INLINE_PAYLOAD_BYTES - VALUE_BYTES + 1))),
    breaks("one level deeper", nested(MAX_JSON_DEPTH + 1, scalar("boolValue", true))),
    breaks("no value", {}),
    breaks("no value in a list", { kind: { case: "listValue", value: { values: [{}] } } }),
    breaks("no number", scalar("numberValue", Number.NaN)),
    breaks("infinite", scalar("numberValue", Infinity)),
    breaks("infinite inside", nested(3, scalar("numberValue", -Infinity))),
  ],
  "Payload.message": [
    fits("of an unknown type", { typeUrl: "type.googleapis.com/no.such.Type", value: Uint8Array.of(255) }),
    fits("the largest", { typeUrl: "", value: new Uint8Array(MAX_INLINE_PAYLOAD_BYTES) }),
    breaks("one byte larger", { typeUrl: "x", value: new Uint8Array(MAX_INLINE_PAYLOAD_BYTES) }),
  ],
  "Bytes.content_type": text(255),
  "Bytes.data": [
    fits("none", new Uint8Array()),
    fits("the most", new Uint8Array(MAX_INLINE_PAYLOAD_BYTES)),
    breaks("one more", new Uint8Array(MAX_INLINE_PAYLOAD_BYTES + 1)),
  ],
  "BlobRef.blob_id": name(100, "required"),
  "BlobRef.sha256": [
    fits("32 bytes", new Uint8Array(32)),
    breaks("none", new Uint8Array()),
    breaks("31 bytes", new Uint8Array(31)),
    breaks("33 bytes", new Uint8Array(33)),
  ],
  "BlobRef.size_bytes": [
    fits("none", 0n),
    fits("the most", 100_000_000n),
    breaks("one more", 100_000_001n),
    breaks("the most there is", 2n ** 64n - 1n),
  ],
  "BlobRef.content_type": text(255),
  "BatchSubmitTasksRequest.tasks": items(1, 1_000, () => ({ type: "fuzz" })),
  "BatchSubmitTasksRequest.atomic": flag,
  "GetTaskStatusRequest.task_id": name(100, "required"),
  "GetTaskStatusRequest.wait": duration([0n, 0], 60n),
  "GetTaskStatusRequest.after_revision": [fits("none", 0n), fits("the most", 2n ** 64n - 1n)],
  "GetTaskStatusRequest.include_result": flag,
  "GetTaskRequest.task_id": name(100, "required"),
  "ExplainTaskRequest.task_id": name(100, "required"),
  "TaskFilter.states": [
    ...items(0, 16, () => 1),
    breaks("unspecified", [0]),
    breaks("one that the mesh never reaches", [7]),
    breaks("a far one", [1, 2 ** 31 - 1]),
  ],
  "TaskFilter.types": [
    ...items(0, 64, (i) => `t${i}`),
    breaks("a wildcard", ["*"]),
    breaks("an empty one", [""]),
    breaks("one too long", ["t".repeat(65)]),
  ],
  "TaskFilter.agent_id": name(64, "optional"),
  "TaskFilter.labels": labels(8),
  "TaskFilter.create_time_from": [...timestamp(), fits("the last", { seconds: 253_402_300_799n, nanos: 999_999_999 })],
  "TaskFilter.create_time_until": [...timestamp(), fits("the last", { seconds: 253_402_300_799n, nanos: 999_999_999 })],
  "TaskFilter.queue": name(64, "optional"),
  "ListTasksRequest.page_size": pageSize,
  "ListTasksRequest.page_token": pageToken,
  "StreamResultsRequest.task_id": name(100, "required"),
  "StreamResultsRequest.cursor": [
    fits("the start", ""),
    breaks("garbage", "garbage"),
    breaks("long garbage", "A".repeat(10_000)),
    breaks("control characters", "\u0000"),
  ],
  "StreamResultsRequest.kinds": kinds,
  "RunTaskRequest.kinds": kinds,
  "CancelTaskRequest.task_id": name(100, "required"),
  "CancelTaskRequest.reason": text(1_024),
  "RetryTaskRequest.task_id": name(100, "required"),
  "RetryTaskRequest.request_id": text(256),
  "IssueStreamTokenRequest.task_id": name(100, "required"),
  "IssueStreamTokenRequest.lifetime": duration([1n, 0], DAY_S),
  "TaskGroup.label": text(63, "required"),
  "TaskGroup.value": text(255),
  "CreateKeyRequest.roles": [
    ...items(1, 16, () => "reader"),
    breaks("one that the policy does not know", ["reader", "nobody"]),
    breaks("an empty one", [""]),
    breaks("one that is no name", ["a b"]),
    breaks("one too long", ["r".repeat(65)]),
  ],
  "CreateKeyRequest.description": text(256),
  "CreateKeyRequest.lifetime": duration([60n, 0], 3_650n * DAY_S),
  "CreateKeyRequest.tenant": name(64, "optional"),
  "ListKeysRequest.page_size": pageSize,
  "ListKeysRequest.page_token": name(64, "optional"),
  "ListKeysRequest.include_ended": flag,
  "ListKeysRequest.tenant": name(64, "optional"),
  "RevokeKeyRequest.key_id": name(64, "required"),
  "RevokeKeyRequest.tenant": name(64, "optional"),
  "ListDeadLettersRequest.page_size": pageSize,
  "ListDeadLettersRequest.page_token": pageToken,
  "ListDeadLettersRequest.include_redriven": flag,
  "AuditFilter.start_time": [...timestamp(), fits("the last", { seconds: 253_402_300_799n, nanos: 999_999_999 })],
  "AuditFilter.end_time": [...timestamp(), fits("the last", { seconds: 253_402_300_799n, nanos: 999_999_999 })],
  "AuditFilter.principals": auditPatterns(512),
  "AuditFilter.actions": auditPatterns(64),
  "AuditFilter.decision": [0, 1, 2]
    .map((value) => fits(`${value}`, value))
    .concat([-1, 3, 2 ** 31 - 1].map((value) => breaks(`${value}`, value))),
  "AuditFilter.resource_type": text(128),
  "AuditFilter.resource_name": text(256),
  "ListAuditEntriesRequest.page_size": pageSize,
  "ListAuditEntriesRequest.page_token": pageToken,
  "ListAuditEntriesRequest.oldest_first": flag,
  "ListAuditEntriesRequest.mesh": flag,
  "WatchAuditRequest.cursor": [
    fits("the start", ""),
    breaks("garbage", "garbage"),
    breaks("long garbage", "A".repeat(10_000)),
    breaks("control characters", "\u0000"),
  ],
  "WatchAuditRequest.newest": integer(0, 1_000),
  "WatchAuditRequest.mesh": flag,
  "UploadBlobRequest.chunk": [
    fits("a byte", new Uint8Array(1)),
    fits("the most", new Uint8Array(262_144)),
    breaks("none", new Uint8Array()),
    breaks("one byte more", new Uint8Array(262_145)),
  ],
  "UploadBlobOpen.content_type": text(255),
  "UploadBlobOpen.sha256": [
    fits("unset", new Uint8Array()),
    fits("32 bytes", new Uint8Array(32)),
    breaks("31 bytes", new Uint8Array(31)),
    breaks("33 bytes", new Uint8Array(33)),
  ],
  "UploadBlobOpen.size_bytes": [
    fits("one", 1n),
    fits("the most", 100_000_000n),
    breaks("one more", 100_000_001n),
    breaks("the most there is", 2n ** 64n - 1n),
  ],
  "DownloadBlobRequest.blob_id": name(100, "required"),
  "GetMetricsRequest.window": duration([10n, 0], DAY_S),
  "GetMetricsRequest.types": metricTypes,
  "GetMetricsRequest.agent_id": name(64, "optional"),
  "WatchMetricsRequest.window": duration([10n, 0], DAY_S),
  "WatchMetricsRequest.types": metricTypes,
  "WatchMetricsRequest.agent_id": name(64, "optional"),
  "WatchMetricsRequest.interval": duration([1n, 0], 60n),
  "ListQueuesRequest.page_size": pageSize,
  "ListQueuesRequest.page_token": name(64, "optional"),
  "GetQueueRequest.queue": queueName,
  "PauseQueueRequest.queue": queueName,
  "PauseQueueRequest.reason": text(1_024),
  "PauseQueueRequest.until_time": [
    ...timestamp(),
    fits("in four weeks", { seconds: BigInt(Math.trunc(Date.now() / 1_000)) + 28n * DAY_S, nanos: 1 }),
    breaks("in five weeks", { seconds: BigInt(Math.trunc(Date.now() / 1_000)) + 35n * DAY_S, nanos: 0 }),
    breaks("the last", { seconds: 253_402_300_799n, nanos: 999_999_999 }),
  ],
  "PauseQueueRequest.duration": duration([1n, 0], 30n * DAY_S),
  "ResumeQueueRequest.queue": queueName,
  "PurgeQueueRequest.queue": queueName,
  "PurgeQueueRequest.types": [
    ...items(0, 64, (i) => `t${i}`),
    breaks("a wildcard", ["*"]),
    breaks("an empty one", [""]),
    breaks("one too long", ["t".repeat(65)]),
  ],
  "PurgeQueueRequest.priorities": [
    ...items(0, 4, () => 5),
    breaks("unspecified", [0]),
    breaks("one that is none", [1, 2]),
    breaks("a far one", [15, 2 ** 31 - 1]),
  ],
  "PurgeQueueRequest.states": [
    fits("none", []),
    fits("those that wait", [1, 9, 11]),
    breaks("one too many", [1, 9, 11, 1]),
    breaks("one at work", [1, 2]),
    breaks("one that has ended", [3]),
    breaks("unspecified", [0]),
  ],
  "PurgeQueueRequest.reason": text(512),
  "PurgeQueueRequest.limit": integer(1, 100_000),
  "CreateWebhookEndpointRequest.endpoint_id": name(64, "optional"),
  "CreateWebhookEndpointRequest.url": webhookUrl,
  "CreateWebhookEndpointRequest.description": text(256),
  "CreateWebhookEndpointRequest.secret": webhookSecret,
  "GetWebhookEndpointRequest.endpoint_id": name(64, "required"),
  "ListWebhookEndpointsRequest.page_size": pageSize,
  "ListWebhookEndpointsRequest.page_token": name(64, "optional"),
  "UpdateWebhookEndpointRequest.endpoint_id": name(64, "required"),
  "UpdateWebhookEndpointRequest.url": webhookUrl,
  "UpdateWebhookEndpointRequest.description": text(256),
  "UpdateWebhookEndpointRequest.disabled": flag,
  "DeleteWebhookEndpointRequest.endpoint_id": name(64, "required"),
  "RotateWebhookSecretRequest.endpoint_id": name(64, "required"),
  "RotateWebhookSecretRequest.secret": webhookSecret,
  "RotateWebhookSecretRequest.overlap": duration([0n, 0], 7n * DAY_S),
  "TestWebhookEndpointRequest.endpoint_id": name(64, "required"),
  "ListWebhookDeliveriesRequest.page_size": pageSize,
  "ListWebhookDeliveriesRequest.page_token": pageToken,
  "ListWebhookDeliveriesRequest.endpoint_id": name(64, "optional"),
  "ListWebhookDeliveriesRequest.task_id": name(100, "optional"),
  "ListWebhookDeliveriesRequest.states": [
    ...items(0, 8, () => 1),
    fits("each", [1, 2, 3]),
    breaks("unspecified", [0]),
    breaks("a far one", [1, 2 ** 31 - 1]),
  ],
  "GetWebhookDeliveryRequest.delivery_id": name(128, "required"),
  "RedeliverWebhookRequest.delivery_id": name(128, "required"),
};

/** Fields whose bound is another where they stand. */
export const ELSEWHERE: Readonly<Record<string, readonly FieldCase[]>> = {
  "ListDeadLetters filter.states": [
    fits("none", []),
    fits("the dead", [4, 14]),
    breaks("one that lives", [1]),
    breaks("unspecified", [0]),
  ],
};

/** What a message needs around the field that is looked at. */
export const VALID: Readonly<Record<string, object>> = {
  RegisterAgentRequest: { agentId: "fuzz-agent", name: "fuzz", capabilities: [{ type: "fuzz" }] },
  Capability: { type: "fuzz" },
  DeregisterAgentRequest: { agentId: "no-such-agent" },
  RevokeAgentRequest: { agentId: "no-such-agent" },
  RestoreAgentRequest: { agentId: "no-such-agent" },
  GetAgentRequest: { agentId: "no-such-agent" },
  SubmitTaskRequest: { type: "fuzz" },
  BatchSubmitTasksRequest: { atomic: true, tasks: [{ type: "fuzz" }] },
  SubmitTaskStreamRequest: { task: { type: "fuzz" } },
  RunTaskRequest: { task: { type: "fuzz" } },
  GetTaskStatusRequest: { taskId: "no-such-task" },
  GetTaskRequest: { taskId: "no-such-task" },
  ExplainTaskRequest: { taskId: "no-such-task" },
  StreamResultsRequest: { taskId: "no-such-task" },
  CancelTaskRequest: { taskId: "no-such-task" },
  RetryTaskRequest: { taskId: "no-such-task" },
  IssueStreamTokenRequest: { scope: { case: "taskId", value: "no-such-task" } },
  TaskGroup: { label: "run" },
  CreateKeyRequest: { roles: ["reader"] },
  RevokeKeyRequest: { keyId: "no-such-key" },
  DownloadBlobRequest: { blobId: "no-such-blob" },
  GetQueueRequest: { queue: "no-such-queue" },
  PauseQueueRequest: { queue: "no-such-queue" },
  ResumeQueueRequest: { queue: "no-such-queue" },
  PurgeQueueRequest: { queue: "no-such-queue" },
  CreateWebhookEndpointRequest: { url: "https://example.com/" },
  GetWebhookEndpointRequest: { endpointId: "no-such-endpoint" },
  UpdateWebhookEndpointRequest: { endpointId: "no-such-endpoint" },
  DeleteWebhookEndpointRequest: { endpointId: "no-such-endpoint" },
  RotateWebhookSecretRequest: { endpointId: "no-such-endpoint" },
  TestWebhookEndpointRequest: { endpointId: "no-such-endpoint" },
  GetWebhookDeliveryRequest: { deliveryId: "no-such-delivery" },
  RedeliverWebhookRequest: { deliveryId: "no-such-delivery" },
  TaskWebhook: { endpointId: "no-such-endpoint" },
  BlobRef: { blobId: "b", sha256: new Uint8Array(32) },
};

/** All fields that a message of this type can carry, each once for every way to it. */
export function pathsOf(message: DescMessage, before: readonly DescField[] = []): FieldPath[] {
  return message.fields.flatMap((field) => {
    const fields = [...before, field];
    const own = nestedMessage(field);
    // A list of messages has bounds of its own beside those of its items.
    const leaf = own === undefined || field.fieldKind === "list" ? [pathOf(fields)] : [];
    return own === undefined ? leaf : [...leaf, ...pathsOf(own, fields)];
  });
}

function pathOf(fields: readonly DescField[]): FieldPath {
  const last = fields.at(-1)!;
  const steps = fields.map((field, i) =>
    field.fieldKind === "list" && i < fields.length - 1 ? `${field.name}[0]` : field.name,
  );
  return { fields, text: steps.join("."), key: `${last.parent.name}.${last.name}` };
}

/** The message of a field that has fields of its own to look at; those of Protobuf itself are values. */
function nestedMessage(field: DescField): DescMessage | undefined {
  const { message } = field;
  return message === undefined || message.typeName.startsWith("google.protobuf.") || field.fieldKind === "map"
    ? undefined
    : message;
}

/** A request of this type in which the field has this value and everything else is valid. */
export function requestWith(
  message: DescMessage,
  fields: readonly DescField[],
  value: unknown,
): Record<string, unknown> {
  const [field, ...rest] = fields;
  const request: Record<string, unknown> = { ...VALID[message.name] };
  if (field === undefined) return request;
  const inner = rest.length === 0 ? value : requestWith(field.message!, rest, value);
  const whole = rest.length > 0 && field.fieldKind === "list" ? [inner] : inner;
  if (field.oneof === undefined) request[field.localName] = whole;
  else request[field.oneof.localName] = { case: field.localName, value: whole };
  return request;
}
