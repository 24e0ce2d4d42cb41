// HTTP/2 by hand: frames as they are, right or wrong, and what a server answers to them.
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** Types of frames. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames. */
export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** What a client opens with. */
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame that was received. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A frame as bytes. `length` lies about the payload's. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(),
  length: number = payload.length,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A block of headers without any compression. */
export function headerBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), hpackText(name), hpackText(value)]));
}

/** The headers of a gRPC call, or of another that looks like one. */
export function grpcHeaders(
  path: string,
  more: readonly (readonly [string, string])[] = [],
  contentType: string = "application/grpc",
): Buffer {
  return headerBlock([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "fuzz"],
    ["content-type", contentType],
    ["te", "trailers"],
    ...more,
  ]);
}

/** A message in its gRPC envelope. `length` lies about the message's. */
export function envelope(message: Uint8Array, flags: number = 0, length: number = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.of(...length, rest), bytes]);
}

/** A connection that speaks frames. */
export interface RawHttp2 extends AsyncDisposable {
  readonly socket: Socket;
  /** Sends bytes; resolves when the kernel has taken them, or the connection is gone. */
  send(...pieces: readonly Uint8Array[]): Promise<void>;
  /** What was received so far. */
  frames(): readonly Frame[];
  /** Resolves with the first frame that satisfies the predicate, or with undefined when the connection closes before. */
  find(predicate: (frame: Frame) => boolean): Promise<Frame | undefined>;
  /** Whether the connection is gone. */
  readonly gone: boolean;
  /** Resolves when it is. */
  readonly closed: Promise<void>;
}

/** Connects, and shakes hands unless told not to. */
export async function openRawHttp2(
  url: string,
  options: { readonly handshake?: boolean; readonly paused?: boolean } = {},
): Promise<RawHttp2> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  const received: Frame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let wake = Promise.withResolvers<void>();
  const news = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  if (options.paused !== true) {
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const length = rest.readUIntBE(0, 3);
        const payload = rest.subarray(9, 9 + length);
        const found = { type: rest.readUInt8(3), flags: rest.readUInt8(4), stream: rest.readUInt32BE(5), payload };
        received.push(found);
        if (found.type === FRAME.settings && (found.flags & FLAG.ack) === 0)
          socket.write(frame(FRAME.settings, FLAG.ack, 0));
        rest = rest.subarray(9 + length);
      }
      news();
    });
  }
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      news();
      resolve();
    });
  });
  await once(socket, "connect");
  if (options.handshake !== false) socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)]));
  return {
    socket,
    frames: () => received,
    get gone() {
      return socket.destroyed;
    },
    closed,
    async send(...pieces) {
      if (socket.destroyed || socket.write(Buffer.concat(pieces))) return;
      await Promise.race([new Promise((drained) => socket.once("drain", drained)), closed]);
    },
    async find(predicate) {
      for (;;) {
        const found = received.find(predicate);
        if (found !== undefined || socket.destroyed) return found;
        await wake.promise;
      }
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await closed;
    },
  };
}
