// A bare TCP connection for tests of what a server does with bytes that no proper client would send.
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";

/** A connection that remembers everything it received. */
export interface RawConnection extends AsyncDisposable {
  readonly socket: Socket;
  /** Everything received so far. */
  received(): Buffer;
  /** Resolves when the received bytes satisfy the predicate; rejects when the connection closes before that. */
  until(predicate: (received: Buffer) => boolean): Promise<Buffer>;
  /** Resolves with everything received when the peer has closed. */
  readonly closed: Promise<Buffer>;
}

/** Connects to a port of this machine. */
export async function openRawConnection(port: number, host: string = "127.0.0.1"): Promise<RawConnection> {
  const socket = connect({ host, port });
  let bytes: Buffer = Buffer.alloc(0);
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
  });
  // A connection that is reset closes, too.
  const closed = new Promise<Buffer>((resolve) => socket.once("close", () => resolve(bytes)));
  await once(socket, "connect");
  return {
    socket,
    received: () => bytes,
    until: (predicate) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (predicate(bytes)) {
            socket.off("data", check).off("close", gone);
            resolve(bytes);
          }
        };
        const gone = (): void => reject(new Error(`closed after ${JSON.stringify(bytes.toString("latin1"))}`));
        socket.on("data", check).once("close", gone);
        check();
      }),
    closed,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await closed;
    },
  };
}
