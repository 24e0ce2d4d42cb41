// How coordinators ask the one that delivers webhooks, and how it answers: the contract's own messages, with the tenant beside them.

import { headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/nats-core";
import { MeshError } from "../core/mesh-error.ts";
import { isName } from "../core/names.ts";
import { ERROR, TENANT } from "../wire/headers.ts";
import { COORDINATOR_INBOX, isInInbox, webhooksSubject } from "../wire/subjects.ts";
import { errorFromHeader, errorToHeader } from "./error-header.ts";
import { headerField, headerText } from "./header-text.ts";

/** What can be asked of the holder. */
export type WebhookVerb = "list_deliveries" | "redeliver";

const VERBS: readonly WebhookVerb[] = ["list_deliveries", "redeliver"];

/** Anybody may ask, with headers that nats-core's own parser throws for. */
const tenantIn = headerField(TENANT);

/** How long to wait for an answer, in milliseconds. */
const ASK_TIMEOUT_MS = 5_000;

/** When a holder that vanished is likely to have been replaced, in milliseconds. */
const RETRY_MS = 2_000;

/** Two holders may overlap for a moment; one of them answers. */
const GROUP = "webhooks";

/** Asks the holder. Throws what it throws, and WEBHOOKS_UNAVAILABLE if nobody answers. */
export async function askWebhooks(
  connection: NatsConnection,
  verb: WebhookVerb,
  tenant: string,
  request: Uint8Array,
): Promise<Uint8Array> {
  const header = headers();
  header.set(TENANT, tenant);
  let reply: Msg;
  try {
    reply = await connection.request(webhooksSubject(verb), request, { timeout: ASK_TIMEOUT_MS, headers: header });
  } catch (cause) {
    throw webhooksUnavailable("no coordinator delivers webhooks now", cause);
  }
  const error = reply.headers?.get(ERROR) ?? "";
  if (error !== "") throw errorFromHeader(error);
  return reply.data;
}

/** Answers requests until it is disposed; those under way are answered first. */
export function answerWebhookRequests(
  connection: NatsConnection,
  answer: (verb: WebhookVerb, tenant: string, request: Uint8Array) => Promise<Uint8Array>,
  onError: (error: unknown) => void,
): AsyncDisposable {
  const answering = new Set<Promise<void>>();
  const subscriptions = VERBS.map((verb): Subscription =>
    connection.subscribe(webhooksSubject(verb), {
      queue: GROUP,
      callback: (failed, message) => {
        // Only coordinators ask; nobody else is answered, wherever the answer would go.
        if (failed !== null || !isInInbox(message.reply, COORDINATOR_INBOX)) return;
        const under = respond(message, (tenant) => answer(verb, tenant, message.data), onError).catch(onError);
        answering.add(under);
        void under.finally(() => answering.delete(under));
      },
    }),
  );
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(subscriptions.map((subscription) => subscription.drain().catch(() => undefined)));
      await Promise.all(answering);
    },
  };
}

/** The error for webhooks that nobody looks after now. */
export function webhooksUnavailable(message: string, cause?: unknown): MeshError {
  return new MeshError("WEBHOOKS_UNAVAILABLE", message, { retryDelayMs: RETRY_MS, cause });
}

async function respond(
  message: Msg,
  answer: (tenant: string) => Promise<Uint8Array>,
  onError: (error: unknown) => void,
): Promise<void> {
  try {
    const tenant = tenantIn(headerText(message));
    if (!isName(tenant)) throw new MeshError("INVALID_REQUEST", "the question names no tenant");
    message.respond(await answer(tenant));
  } catch (error) {
    if (!(error instanceof MeshError)) onError(error);
    const told = error instanceof MeshError ? error : webhooksUnavailable("webhooks could not be looked at");
    const header = headers();
    header.set(ERROR, errorToHeader(told));
    message.respond(new Uint8Array(), { headers: header });
  }
}
