// The hooks: which tasks have states to be delivered. Written before a task is, heard as they are written, removed by the version that was
// seen, so that one that was written again meanwhile stays.

import { create, toBinary } from "@bufbuild/protobuf";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { WebhookHookSchema } from "../../gen/mycel/v1/webhook_log_pb.ts";
import {
  parseWebhookSubject,
  WEBHOOK_HOOK_SUBJECTS,
  WEBHOOK_HOOKED_FILTER,
  WEBHOOK_HOOKS_STREAM,
  webhookHookSubject,
} from "../wire/subjects.ts";
import { timestampFromMs } from "../wire/time-codec.ts";
import { type DirectReader, storedMessage, type StoredMessage } from "./direct-reader.ts";
import { readFromLeader } from "./stream-leader.ts";
import type { StreamPublisher } from "./stream-publisher.ts";
import { scanStream } from "./stream-scan.ts";
import { isStored } from "./webhook-endpoints.ts";

/** A hook as it stands. */
export interface StoredHook {
  readonly tenant: string;
  readonly taskId: string;
  /** The sequence under which it stands. */
  readonly sequence: number;
  /** When it was written last, by the broker's clock, in milliseconds since 1970. */
  readonly storeMs: number;
}

/** What reading and writing hooks needs. */
export interface WebhookHooksParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly publisher: Pick<StreamPublisher, "publish">;
  readonly reader: Pick<DirectReader, "read">;
}

/** Reads and writes hooks. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class WebhookHooks {
  readonly #parts: WebhookHooksParts;

  constructor(parts: WebhookHooksParts) {
    this.#parts = parts;
  }

  /** Writes the hook of a task, again if it stands: whoever was about to remove it must see that it is asked for. */
  async put(tenant: string, taskId: string, nowMs: number): Promise<void> {
    const hook = create(WebhookHookSchema, { createTime: timestampFromMs(nowMs) });
    const subject = webhookHookSubject(tenant, taskId);
    isStored(await this.#parts.publisher.publish({ subject, body: toBinary(WebhookHookSchema, hook) }));
  }

  /** Whether the task's hook stands, by the leader's word. */
  async stands(tenant: string, taskId: string): Promise<boolean> {
    const query = { last_by_subj: webhookHookSubject(tenant, taskId) };
    return (await readFromLeader(this.#parts.connection, WEBHOOK_HOOKS_STREAM, query)) !== undefined;
  }

  /** Removes a hook as it was seen. What was written since stays. What it throws means: try again. */
  async remove({ tenant, taskId, sequence }: StoredHook): Promise<void> {
    // By its subject: of what is heard live, the sequence is whatever its publisher says.
    const filter = webhookHookSubject(tenant, taskId);
    await this.#parts.manager.streams.purge(WEBHOOK_HOOKS_STREAM, { filter, seq: sequence + 1 });
  }

  /** All hooks that stand, in batches. */
  async *all(signal?: AbortSignal): AsyncGenerator<readonly StoredHook[], void, undefined> {
    for await (const messages of scanStream(this.#parts, WEBHOOK_HOOKS_STREAM, WEBHOOK_HOOK_SUBJECTS, signal)) {
      yield messages.flatMap((message) => hookIn(message) ?? []);
    }
  }

  /** Hears of hooks as they are written; may miss some. `onHook` must not throw. */
  listen(onHook: (hook: StoredHook) => void): Disposable {
    const subscription = this.#parts.connection.subscribe(WEBHOOK_HOOKED_FILTER, {
      callback: (error, message) => {
        const hook = error === null ? hookIn(storedMessage(message)) : undefined;
        if (hook !== undefined) onHook(hook);
      },
    });
    return { [Symbol.dispose]: () => subscription.unsubscribe() };
  }
}

/** What is no stored message has no sequence, or no time; a hook without one would never be old enough to go. */
function hookIn({ subject, sequence, storeMs }: StoredMessage): StoredHook | undefined {
  const parsed = parseWebhookSubject(subject, "hook");
  const isStanding = Number.isSafeInteger(sequence) && sequence > 0 && Number.isFinite(storeMs);
  if (parsed === undefined || !isStanding) return undefined;
  return { tenant: parsed.tenant, taskId: parsed.id, sequence, storeMs };
}
