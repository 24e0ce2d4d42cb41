// Names every message that a coordinator or an agent sends, and those that it gets, by what it does to the mesh. Pure: looks at subject,
// headers and body alone, so the product needs no word about it.
import { fromBinary } from "@bufbuild/protobuf";
import { TaskEventSchema } from "../../../../gen/mycel/v1/task_log_pb.ts";
import { DELAYED_QUEUE, WITHDRAWN_QUEUE } from "../../../../lib/core/names.ts";
import { stateFromWire } from "../../../../lib/wire/state-codec.ts";
import {
  AGENTS_BUCKET,
  BLOBS_BUCKET,
  DELAYED_CONSUMER,
  parseAgentSubject,
  parseDeliverySubject,
  parseTaskSubject,
  ROLES_BUCKET,
  TIMERS_STREAM,
  CREDENTIALS_BUCKET,
  KEYS_BUCKET,
  REVOCATIONS_BUCKET,
  TRUST_BUCKET,
} from "../../../../lib/wire/subjects.ts";
import { BATCH_COMMIT, BATCH_ID, EXPECTED_LAST_SUBJECT_SEQUENCE as EXPECTED } from "../../../../lib/wire/headers.ts";

/**
 * What coordinators send, as far as it changes anything or is waited for: with `client-answer.<method>` (the head of an answer to a client)
 * and `client-message.<method>` (a piece of its body) these are all steps between which a coordinator can die. Beside them it only reads:
 * `read`, `read-leader`, `pull.*`, `stream-info`, `consumer-info`, `api-info`; and `nak.timer` and `nak.delayed` come only after an error.
 */
export const COORDINATOR_STEPS: readonly string[] = [
  "dispatch.first",
  "dispatch.again",
  "dispatch.delayed",
  "dispatch.batch",
  "dispatch.commit",
  "withdraw",
  "withdraw-delete",
  "event.working",
  "event.submitted",
  "event.backing_off",
  "event.completed",
  "event.failed",
  "event.canceled",
  "event.timed_out",
  "fence-marker",
  "timer-set.dispatch",
  "timer-set.schedule_to_start",
  "timer-set.schedule_to_close",
  "timer-set.start_to_close",
  "timer-delete",
  "ack.task",
  "ack.timer",
  "ack.delayed",
  "nak.task",
  "agent-signal",
  "report-reply",
  "heartbeat-reply",
  "index-ask",
  "index-reply",
  "registry-put",
  "registry-remove",
  "role-put",
  "role-remove",
  "role-signal",
  "purge.tasks",
  "purge.output",
  "purge.timers",
  "consumer-create",
  "blob-chunk",
  "blob-meta",
];

/** What agents send. */
export const AGENT_STEPS: readonly string[] = ["report", "heartbeat", "in-progress.task", "pull.tasks", "output"];

/** A message on its way out. */
export interface OutgoingMessage {
  readonly subject: string;
  readonly body: Uint8Array | string;
  /** A header's value; empty if there is none. */
  readonly header: (name: string) => string;
  /** The subject of the request that it answers, if it answers one. */
  readonly answers: string | undefined;
}

/** Where answers go: to coordinators, to agents, and to another account. */
const ANSWERED: ReadonlySet<string> = new Set(["_INBOX", "_AGENT_INBOX", "_R_"]);

/** The step that a message is. Something that nobody foresaw is `other.<beginning of its subject>`. */
export function stepOf(role: string, message: OutgoingMessage): string {
  const { subject, answers } = message;
  const [root = "", second = "", ...rest] = subject.split(".");
  switch (root) {
    case "task":
      return taskStep(message);
    case "out":
      return role === "agent" ? "output" : "fence-marker";
    case "timer":
      return `timer-set.${rest.at(-1) ?? ""}`;
    case "audit":
      return "audit-entry";
    case "$SYS":
      return subject.startsWith("$SYS.REQ.CLAIMS.") ? "accounts-push" : "accounts-look";
    case "mycel":
      return meshStep(second, subject);
    case "$KV":
      return bucketStep(second, message.header("KV-Operation"));
    case "$O":
      return second === BLOBS_BUCKET ? `blob-${rest[0] === "M" ? "meta" : "chunk"}` : `other.$O.${second}`;
    case "$JS":
      return second === "ACK" ? ackStep(subject, message.body) : apiStep(rest);
    default:
      return ANSWERED.has(root) && answers !== undefined ? answerStep(answers) : `other.${root}.${second}`;
  }
}

/** What an incoming message is: `delivery.task`, `delivery.timer`, `delivery.delayed`, `report`, `heartbeat`, `signal`, or `reply`. */
export function incomingStepOf(subject: string, reply: string): string {
  if (reply.startsWith("$JS.ACK.")) return `delivery.${feedOf(reply)}`;
  if (subject.startsWith("mycel.signal.")) return "signal";
  return parseAgentSubject(subject)?.verb ?? (subject.startsWith("mycel.index.") ? "index" : "reply");
}

function answerStep(request: string): string {
  const verb = parseAgentSubject(request)?.verb;
  if (verb !== undefined) return `${verb}-reply`;
  return request.startsWith("mycel.index.") ? "index-reply" : "other.reply";
}

function taskStep({ subject, body, header }: OutgoingMessage): string {
  const parsed = parseTaskSubject(subject);
  if (parsed?.kind === "event" && typeof body !== "string") {
    return `event.${stateFromWire(fromBinary(TaskEventSchema, body).state) ?? "unknown"}`;
  }
  if (parsed?.kind !== "dispatch") return "other.task";
  if (parsed.queue === WITHDRAWN_QUEUE) return "withdraw";
  if (header(BATCH_COMMIT) !== "") return "dispatch.commit";
  if (header(BATCH_ID) !== "") return "dispatch.batch";
  if (parsed.queue === DELAYED_QUEUE) return "dispatch.delayed";
  return header(EXPECTED) === "0" ? "dispatch.first" : "dispatch.again";
}

function meshStep(second: string, subject: string): string {
  const verb = parseAgentSubject(subject)?.verb;
  if (verb !== undefined) return verb;
  const known: Readonly<Record<string, string>> = {
    signal: "agent-signal",
    role: "role-signal",
    index: "index-ask",
  };
  return known[second] ?? `other.mycel.${second}`;
}

function bucketStep(bucket: string, operation: string): string {
  const known: Readonly<Record<string, string>> = {
    [AGENTS_BUCKET]: "registry",
    [ROLES_BUCKET]: "role",
    [CREDENTIALS_BUCKET]: "credentials",
    [KEYS_BUCKET]: "keys",
    [REVOCATIONS_BUCKET]: "shut-out",
    [TRUST_BUCKET]: "revocation",
  };
  return `${known[bucket] ?? `other.$KV.${bucket}`}-${operation === "" ? "put" : "remove"}`;
}

function ackStep(subject: string, body: Uint8Array | string): string {
  const text = typeof body === "string" ? body : Buffer.from(body).toString();
  const kind = text.startsWith("-NAK") ? "nak" : text.startsWith("+WPI") ? "in-progress" : "ack";
  return `${kind}.${feedOf(subject)}`;
}

/** Whose delivery it is: an agent's task, or one of the coordinators' own feeds. */
function feedOf(subject: string): string {
  const delivery = parseDeliverySubject(subject);
  if (delivery?.stream === TIMERS_STREAM) return "timer";
  return delivery?.consumer === DELAYED_CONSUMER ? "delayed" : "task";
}

const STREAM_WORDS: Readonly<Record<string, string>> = {
  MYCEL_TASKS: "tasks",
  MYCEL_OUTPUT: "output",
  MYCEL_TIMERS: "timers",
};

/** `tokens` are what follows `$JS.API`. */
function apiStep(tokens: readonly string[]): string {
  const [kind = "", verb = "", ...rest] = tokens;
  const stream = (name = ""): string => STREAM_WORDS[name] ?? name;
  switch (`${kind}.${verb}`) {
    case "DIRECT.GET":
      return "read";
    case "STREAM.MSG":
      if (rest[0] === "GET") return "read-leader";
      return stream(rest[1]) === "tasks"
        ? "withdraw-delete"
        : stream(rest[1]) === "timers"
          ? "timer-delete"
          : "other.delete";
    case "STREAM.PURGE":
      return `purge.${stream(rest[0])}`;
    case "CONSUMER.MSG":
      return `pull.${stream(rest[1])}`;
    case "CONSUMER.DURABLE":
      return "consumer-create";
    default:
      return kind === "INFO" ? "api-info" : `${kind}-${verb}`.toLowerCase();
  }
}
