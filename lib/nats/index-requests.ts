// How coordinators ask the one that holds the index, and how it answers: the contract's own messages, with the tenant beside them.

import { type Msg, type NatsConnection, headers, type Subscription } from "@nats-io/nats-core";
import { MeshError } from "../core/mesh-error.ts";
import { isName } from "../core/names.ts";
import { ERROR, TENANT } from "../wire/headers.ts";
import { COORDINATOR_INBOX, indexSubject, isInInbox } from "../wire/subjects.ts";
import { errorFromHeader, errorToHeader } from "./error-header.ts";
import { headerField, headerText } from "./header-text.ts";

/** What can be asked of the index. */
export type IndexVerb = "list_tasks" | "count_tasks" | "list_dead_letters" | "get_metrics";

const VERBS: readonly IndexVerb[] = ["list_tasks", "count_tasks", "list_dead_letters", "get_metrics"];

/** Anybody may ask, with headers that nats-core's own parser throws for. */
const tenantIn = headerField(TENANT);

/** How long to wait for an answer, in milliseconds. */
const ASK_TIMEOUT_MS = 5_000;

/** When a holder that vanished is likely to have been replaced, in milliseconds. */
const RETRY_MS = 2_000;

/** Two holders may overlap for a moment; one of them answers. */
const GROUP = "index";

/** Asks the index. Throws what it throws, and INDEX_UNAVAILABLE if nobody answers. */
export async function askIndex(
  connection: NatsConnection,
  verb: IndexVerb,
  tenant: string,
  request: Uint8Array,
): Promise<Uint8Array> {
  const header = headers();
  header.set(TENANT, tenant);
  let reply: Msg;
  try {
    reply = await connection.request(indexSubject(verb), request, { timeout: ASK_TIMEOUT_MS, headers: header });
  } catch (cause) {
    throw indexUnavailable("no coordinator serves the index now", cause);
  }
  const error = reply.headers?.get(ERROR) ?? "";
  if (error !== "") throw errorFromHeader(error);
  return reply.data;
}

/** Answers requests until it is disposed. */
export function answerIndexRequests(
  connection: NatsConnection,
  answer: (verb: IndexVerb, tenant: string, request: Uint8Array) => Uint8Array,
  onError: (error: unknown) => void,
): AsyncDisposable {
  const subscriptions = VERBS.map((verb): Subscription =>
    connection.subscribe(indexSubject(verb), {
      queue: GROUP,
      callback: (failed, message) => {
        // Only coordinators ask; nobody else is answered, wherever the answer would go.
        const asked = failed === null && isInInbox(message.reply, COORDINATOR_INBOX);
        if (asked) respond(message, (tenant) => answer(verb, tenant, message.data), onError);
      },
    }),
  );
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(subscriptions.map((subscription) => subscription.drain().catch(() => undefined)));
    },
  };
}

/** The error for an index that can't answer now. */
export function indexUnavailable(message: string, cause?: unknown): MeshError {
  return new MeshError("INDEX_UNAVAILABLE", message, { retryDelayMs: RETRY_MS, cause });
}

function respond(message: Msg, answer: (tenant: string) => Uint8Array, onError: (error: unknown) => void): void {
  try {
    const tenant = tenantIn(headerText(message));
    if (!isName(tenant)) throw new MeshError("INVALID_REQUEST", "the question names no tenant");
    message.respond(answer(tenant));
  } catch (error) {
    if (!(error instanceof MeshError)) onError(error);
    const told = error instanceof MeshError ? error : indexUnavailable("the index could not answer");
    const header = headers();
    header.set(ERROR, errorToHeader(told));
    message.respond(new Uint8Array(), { headers: header });
  }
}
