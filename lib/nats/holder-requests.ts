// How coordinators ask the one of them that holds a role, and how it answers: the contract's own messages, with whom they are
// asked for beside them.

import { headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/nats-core";
import type { TaskScope } from "../core/access/task-scope.ts";
import { MeshError } from "../core/mesh-error.ts";
import { isName } from "../core/names.ts";
import { ERROR, SCOPE, TENANT } from "../wire/headers.ts";
import { scopeFromHeader, scopeToHeader } from "../wire/scope-codec.ts";
import { COORDINATOR_INBOX, isInInbox } from "../wire/subjects.ts";
import { errorFromHeader, errorToHeader } from "./error-header.ts";
import { headerField, headerText } from "./header-text.ts";

/** On whose behalf a question is asked. */
export interface HolderCaller {
  readonly tenant: string;
  /** The tasks that they may see; all if undefined. */
  readonly scope?: TaskScope | undefined;
}

/** Anybody may ask, with headers that nats-core's own parser throws for. */
const tenantIn = headerField(TENANT);
const scopeIn = headerField(SCOPE);

/** How long to wait for an answer, in milliseconds. */
const ASK_TIMEOUT_MS = 5_000;

/** When a holder that vanished is likely to have been replaced, in milliseconds. */
export const HOLDER_RETRY_MS = 2_000;

/** What the holder of a role can be asked. */
export interface HolderQuestions<Verb extends string> {
  readonly verbs: readonly Verb[];
  /** Where a verb is asked. */
  readonly subject: (verb: Verb) => string;
  /** The queue group of whoever answers. Two holders may overlap for a moment; one of them answers. */
  readonly group: string;
  /** The error for a holder that is not there, or that failed. */
  readonly unavailable: (why: "nobody answers" | "it failed", cause?: unknown) => MeshError;
}

/** Asks the holder. Throws what it throws, and that it is unavailable if nobody answers. */
export async function askHolder<Verb extends string>(
  connection: NatsConnection,
  { subject, unavailable }: HolderQuestions<Verb>,
  verb: Verb,
  { tenant, scope }: HolderCaller,
  request: Uint8Array,
): Promise<Uint8Array> {
  const header = headers();
  header.set(TENANT, tenant);
  if (scope !== undefined) header.set(SCOPE, scopeToHeader(scope));
  let reply: Msg;
  try {
    reply = await connection.request(subject(verb), request, { timeout: ASK_TIMEOUT_MS, headers: header });
  } catch (cause) {
    throw unavailable("nobody answers", cause);
  }
  const error = reply.headers?.get(ERROR) ?? "";
  if (error !== "") throw errorFromHeader(error);
  return reply.data;
}

/** Answers questions until it is disposed; those under way are answered first. */
export function answerAsHolder<Verb extends string>(
  connection: NatsConnection,
  { verbs, subject, group, unavailable }: HolderQuestions<Verb>,
  answer: (verb: Verb, caller: HolderCaller, request: Uint8Array) => Uint8Array | Promise<Uint8Array>,
  onError: (error: unknown) => void,
): AsyncDisposable {
  const answering = new Set<Promise<void>>();
  const respond = async (verb: Verb, message: Msg): Promise<void> => {
    try {
      const header = headerText(message);
      const tenant = tenantIn(header);
      if (!isName(tenant)) throw new MeshError("INVALID_REQUEST", "the question names no tenant");
      const scope = scopeIn(header);
      const caller = scope === "" ? { tenant } : { tenant, scope: scopeFromHeader(scope) };
      message.respond(await answer(verb, caller, message.data));
    } catch (error) {
      if (!(error instanceof MeshError)) onError(error);
      const header = headers();
      header.set(ERROR, errorToHeader(error instanceof MeshError ? error : unavailable("it failed")));
      message.respond(new Uint8Array(), { headers: header });
    }
  };
  const subscriptions = verbs.map((verb): Subscription =>
    connection.subscribe(subject(verb), {
      queue: group,
      callback: (failed, message) => {
        // Only coordinators ask; nobody else is answered, wherever the answer would go.
        if (failed !== null || !isInInbox(message.reply, COORDINATOR_INBOX)) return;
        const under = respond(verb, message).catch(onError);
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
