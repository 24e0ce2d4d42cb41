// A receiver of webhooks as a user would write one: real HTTP on a free port, every message verified by the official library.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { Webhook } from "standardwebhooks";

/** What was received. */
export interface Received {
  /** The `webhook-id`. */
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  /** The body, byte for byte. */
  readonly text: string;
  readonly event: {
    readonly type: string;
    readonly timestamp: string;
    readonly data: {
      readonly taskId?: string;
      readonly type?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly status?: Readonly<Record<string, unknown>>;
      readonly result?: unknown;
      readonly resultOmitted?: boolean;
    };
  };
  /** Which of the secrets that were asked about verify the message, by their place. */
  readonly verifiedBy: readonly number[];
}

/** How to answer. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A receiver. */
export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** The secrets with which each message is verified; one that none verifies is answered 401. None at first: nothing is verified. */
  secrets: readonly string[];
  /** How a message that verifies is answered; 204 at first. */
  answer: (received: Received) => Answer | Promise<Answer>;
  /** Everything that was received and verified, in order. */
  readonly received: readonly Received[];
  /** What was refused because no secret verifies it. */
  readonly refused: readonly string[];
  /** Resolves when so many messages were received and verified. */
  until(count: number): Promise<readonly Received[]>;
}

/** Opens a receiver. `now` is the time that messages are verified at, `port` the one to listen on. */
export async function openWebhookReceiver(
  options: { readonly now?: () => number; readonly port?: number } = {},
): Promise<WebhookReceiver> {
  const { now = () => Date.now(), port = 0 } = options;
  const received: Received[] = [];
  const refused: string[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      const verifiedBy = receiver.secrets.flatMap((secret, i) =>
        verifies(secret, text, request.headers, now) ? [i] : [],
      );
      if (receiver.secrets.length > 0 && verifiedBy.length === 0) {
        refused.push(text);
        response.writeHead(401).end();
        return;
      }
      const id = String(request.headers["webhook-id"]);
      const message: Received = { id, headers: request.headers, text, event: JSON.parse(text), verifiedBy };
      received.push(message);
      const { status, headers = {}, body = "" } = await receiver.answer(message);
      response.writeHead(status, headers).end(body);
      for (const each of waiting.filter(({ count }) => received.length >= count)) each.resolve();
    })();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the receiver has no port");
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${address.port}/hooks`,
    port: address.port,
    secrets: [],
    answer: () => ({ status: 204 }),
    received,
    refused,
    until: async (count) => {
      if (received.length < count) {
        await new Promise<void>((resolve) => {
          waiting.push({ count, resolve });
        });
      }
      return received;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return receiver;
}

function verifies(secret: string, text: string, headers: IncomingHttpHeaders, now: () => number): boolean {
  const atMs = now();
  const real = Date.now;
  // The library asks the machine for the time; a test may have moved the mesh's.
  Date.now = () => atMs;
  try {
    new Webhook(secret).verify(text, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  } finally {
    Date.now = real;
  }
}
