// Speaks NATS by hand, to send what no client library would: wildcards as literal tokens, garbled headers, foreign reply subjects.
import { once } from "node:events";
import { connect } from "node:net";

/** One message as it goes over the wire. */
export interface RawMessage {
  readonly subject: string;
  readonly body: Uint8Array;
  /** The reply subject. Default none. */
  readonly reply?: string | undefined;
  /** The header block as it is, right or wrong. Default none. */
  readonly header?: Uint8Array | undefined;
}

/** A connection of somebody who may publish anything anywhere. */
export interface RawNats extends AsyncDisposable {
  /** Sends messages; resolves when the broker has taken them all in. Rejects when it closes the connection instead. */
  publish(...messages: readonly RawMessage[]): Promise<void>;
  /** What the broker complained about so far. */
  readonly errors: readonly string[];
}

/** Connects to a broker without authentication. */
export async function openRawNats(url: string): Promise<RawNats> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  const errors: string[] = [];
  let waiting: PromiseWithResolvers<void>[] = [];
  socket.on("data", (chunk: Buffer) => {
    for (const line of chunk.toString("latin1").split("\r\n")) {
      if (line.startsWith("-ERR")) errors.push(line);
      if (line === "PING") socket.write("PONG\r\n");
      if (line === "PONG") waiting.shift()?.resolve();
    }
  });
  socket.on("close", () => {
    for (const { reject } of waiting) reject(new Error(`the broker closed the connection: ${errors.join(" ")}`));
    waiting = [];
  });
  await once(socket, "connect");
  socket.write('CONNECT {"verbose":false,"pedantic":false,"headers":true,"name":"anybody"}\r\n');
  return {
    errors,
    async publish(...messages) {
      for (const message of messages) socket.write(encode(message));
      const flushed = Promise.withResolvers<void>();
      waiting.push(flushed);
      socket.write("PING\r\n");
      await flushed.promise;
    },
    async [Symbol.asyncDispose]() {
      if (socket.destroyed) return;
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.destroy();
      await closed;
    },
  };
}

function encode({ subject, reply, header, body }: RawMessage): Buffer {
  const to = reply === undefined ? subject : `${subject} ${reply}`;
  const sizes = header === undefined ? `${body.length}` : `${header.length} ${header.length + body.length}`;
  const line = `${header === undefined ? "PUB" : "HPUB"} ${to} ${sizes}\r\n`;
  return Buffer.concat([Buffer.from(line), header ?? new Uint8Array(), body, Buffer.from("\r\n")]);
}
