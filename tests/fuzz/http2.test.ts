// What no HTTP/2 client sends: frames out of order, requests that are none, headers without end, floods. Others are served all the while,
// and nothing is left when the connections are gone.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TestMesh } from "../support/processes.ts";
import { envelope, FLAG, FRAME, frame, grpcHeaders, headerBlock, openRawHttp2 } from "../support/raw-http2.ts";
import { besideOthers } from "./bystander.ts";
import { openWatchedMesh } from "./vitals.ts";

const PATH = "/mycel.v1.AgentService/GetTask";

let mesh: TestMesh;
let url: string;
beforeAll(async () => {
  mesh = await openWatchedMesh();
  url = mesh.urls[0]!;
});
afterAll(() => mesh[Symbol.asyncDispose]());

describe("HTTP/2 frames", () => {
  besideOthers(() => mesh);

  const open = (stream: number, flags: number = FLAG.endHeaders): Buffer =>
    frame(FRAME.headers, flags, stream, grpcHeaders(PATH));
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };

  test.for([
    ["DATA on no stream", [frame(FRAME.data, 0, 0, new Uint8Array(5))]],
    ["DATA on an idle stream", [frame(FRAME.data, 0, 7, new Uint8Array(5))]],
    ["HEADERS on no stream", [open(0)]],
    ["HEADERS on an even stream", [open(2)]],
    ["HEADERS that are no HPACK", [frame(FRAME.headers, FLAG.endHeaders, 1, new Uint8Array(50).fill(0xff))]],
    ["padding longer than the frame", [frame(FRAME.data, FLAG.padded, 1, Uint8Array.of(200, 1))]],
    ["CONTINUATION without HEADERS", [frame(FRAME.continuation, FLAG.endHeaders, 1, grpcHeaders(PATH))]],
    ["another frame between HEADERS and CONTINUATION", [open(1, 0), frame(FRAME.ping, 0, 0, new Uint8Array(8))]],
    ["SETTINGS of five bytes", [frame(FRAME.settings, 0, 0, new Uint8Array(5))]],
    ["SETTINGS on a stream", [frame(FRAME.settings, 0, 1)]],
    ["a frame size of nothing", [frame(FRAME.settings, 0, 0, Buffer.from("000500000001", "hex"))]],
    ["a window beyond all windows", [frame(FRAME.settings, 0, 0, Buffer.from("0004ffffffff", "hex"))]],
    ["PING of seven bytes", [frame(FRAME.ping, 0, 0, new Uint8Array(7))]],
    ["an acknowledgement of no PING", [frame(FRAME.ping, FLAG.ack, 0, new Uint8Array(8))]],
    ["PING on a stream", [frame(FRAME.ping, 0, 3, new Uint8Array(8))]],
    ["WINDOW_UPDATE of nothing", [frame(FRAME.windowUpdate, 0, 0, u32(0))]],
    [
      "WINDOW_UPDATE beyond all windows",
      [frame(FRAME.windowUpdate, 0, 0, u32(0x7fffffff)), frame(FRAME.windowUpdate, 0, 0, u32(0x7fffffff))],
    ],
    ["RST_STREAM on an idle stream", [frame(FRAME.rstStream, 0, 5, u32(0))]],
    [
      "PUSH_PROMISE from a client",
      [open(1), frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([u32(2), grpcHeaders(PATH)]))],
    ],
    ["GOAWAY of four bytes", [frame(FRAME.goaway, 0, 0, u32(0))]],
  ] as const)("%s ends the connection", async ([, frames]) => {
    await using connection = await openRawHttp2(url);
    await connection.find(({ type }) => type === FRAME.settings);
    await connection.send(...frames);
    await connection.closed;
  });

  test.for([
    ["an unknown type", frame(0x77, 0xff, 1, new Uint8Array(20))],
    ["a priority", frame(FRAME.priority, 0, 3, Buffer.concat([u32(1), Buffer.of(9)]))],
    ["an unknown setting", frame(FRAME.settings, 0, 0, Buffer.from("9999ffffffff", "hex"))],
  ] as const)("a frame that may be ignored is: %s", async ([, odd]) => {
    await using connection = await openRawHttp2(url);
    await connection.send(odd, open(1), frame(FRAME.data, FLAG.endStream, 1, envelope(new Uint8Array())));
    const answer = await connection.find(({ type, stream }) => type === FRAME.headers && stream === 1);
    expect(answer).toBeDefined();
  });

  test.for([
    [
      "no method",
      [
        [":scheme", "http"],
        [":path", PATH],
        [":authority", "x"],
      ],
    ],
    [
      "no path",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":authority", "x"],
      ],
    ],
    [
      "an empty path",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", ""],
        [":authority", "x"],
      ],
    ],
    [
      "two paths",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/a"],
        [":path", "/b"],
        [":authority", "x"],
      ],
    ],
    [
      "a foreign pseudo header",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/a"],
        [":status", "200"],
      ],
    ],
    [
      "an upper-case name",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/a"],
        ["Content-Type", "x"],
      ],
    ],
    [
      "a connection header",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/a"],
        ["connection", "close"],
      ],
    ],
    [
      "a line break in a value",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/a"],
        ["x", "a\r\nb: c"],
      ],
    ],
    [
      "an authority of nonsense",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", PATH],
        [":authority", "\u0001 [::"],
        ["content-type", "application/grpc"],
      ],
    ],
    [
      "a path of nonsense",
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "//[::\\"],
        [":authority", "x"],
        ["content-type", "application/grpc"],
      ],
    ],
    [
      "a path that is no path",
      [
        [":method", "OPTIONS"],
        [":scheme", "http"],
        [":path", "*"],
        [":authority", "x"],
      ],
    ],
    [
      "a tunnel",
      [
        [":method", "CONNECT"],
        [":authority", "example.com:443"],
      ],
    ],
  ] as const)("a request with %s is answered or refused", async ([, fields]) => {
    await using connection = await openRawHttp2(url);
    await connection.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, headerBlock(fields)));
    const ended = await connection.find(({ type, stream, flags }) => {
      const onIt = stream === 1 && (type === FRAME.rstStream || (flags & FLAG.endStream) > 0);
      return onIt || type === FRAME.goaway;
    });
    expect(ended !== undefined || connection.gone).toBe(true);
  });

  test("10,000 headers end their stream or their connection", async () => {
    await using connection = await openRawHttp2(url);
    const block = grpcHeaders(
      PATH,
      Array.from({ length: 10_000 }, (_, i) => [`h${i}`, "v"] as const),
    );
    const parts = Array.from({ length: Math.ceil(block.length / 16_000) }, (_, i) =>
      block.subarray(i * 16_000, (i + 1) * 16_000),
    );
    const frames = parts.map((part, i) => {
      const last = i === parts.length - 1 ? FLAG.endHeaders : 0;
      return i === 0 ? frame(FRAME.headers, last | FLAG.endStream, 1, part) : frame(FRAME.continuation, last, 1, part);
    });
    await connection.send(...frames);
    const refused = await connection.find(
      ({ type, stream }) => type === FRAME.goaway || (stream === 1 && type !== FRAME.windowUpdate),
    );
    expect(refused?.type ?? FRAME.goaway).not.toBe(FRAME.data);
  });
});

describe("floods", () => {
  besideOthers(() => mesh);

  const many = (one: Buffer, count = 1_000): Buffer => Buffer.concat(Array.from({ length: count }, () => one));

  /**
   * Sends pieces until the connection is gone, and hangs if the server bears them for ever. Somebody who reads nothing notices the end only
   * by writing, so that it must not stop at any number.
   */
  async function floodUntilGone(piece: (i: number) => Uint8Array, paused = false): Promise<void> {
    await using connection = await openRawHttp2(url, { paused });
    for (let i = 0; !connection.gone; i += 1) await connection.send(piece(i));
  }

  /** Sends pieces, and waits until the server has read them all or has had enough. */
  async function flood(piece: (i: number) => Uint8Array, count: number): Promise<void> {
    await using connection = await openRawHttp2(url);
    for (let i = 0; i < count && !connection.gone; i += 1) await connection.send(piece(i));
    const last = Buffer.from("the last");
    await connection.send(frame(FRAME.ping, 0, 0, last));
    await connection.find(
      ({ type, flags, payload }) => type === FRAME.ping && flags === FLAG.ack && last.equals(payload),
    );
  }

  test("of streams that are reset at once end their connection", async () => {
    const block = grpcHeaders(PATH);
    await floodUntilGone((i) => {
      const stream = 1 + 2 * i;
      const reset = frame(FRAME.rstStream, 0, stream, Buffer.of(0, 0, 0, 8));
      return Buffer.concat([frame(FRAME.headers, FLAG.endHeaders, stream, block), reset]);
    });
  });

  test("of CONTINUATION end their connection", async () => {
    const part = headerBlock(Array.from({ length: 500 }, (_, i) => [`header-${i}`, "v".repeat(20)] as const)).subarray(
      0,
      16_000,
    );
    const first = frame(FRAME.headers, 0, 1, grpcHeaders(PATH));
    await floodUntilGone((i) => (i === 0 ? first : frame(FRAME.continuation, 0, 1, part)));
  });

  test.for([
    ["PING", frame(FRAME.ping, 0, 0, new Uint8Array(8))],
    ["SETTINGS", frame(FRAME.settings, 0, 0)],
  ] as const)("of %s, by somebody who reads no answer, end their connection", async ([, one]) => {
    const piece = many(one);
    await floodUntilGone(() => piece, true);
  });

  test("of frames that cost nothing are survived", async () => {
    const stream = frame(FRAME.headers, FLAG.endHeaders, 1, grpcHeaders(PATH));
    await flood((i) => (i === 0 ? stream : many(frame(FRAME.data, 0, 1))), 50);
    await flood(() => many(frame(FRAME.priority, 0, 3, Buffer.of(0, 0, 0, 1, 9))), 50);
    await flood(() => many(frame(FRAME.windowUpdate, 0, 0, Buffer.of(0, 0, 0, 1))), 50);
    await flood(() => many(frame(FRAME.ping, 0, 0, new Uint8Array(8)), 100), 50);
  });

  test("of open streams are refused beyond their number", async () => {
    await using connection = await openRawHttp2(url);
    await connection.find(({ type }) => type === FRAME.settings);
    const block = grpcHeaders(PATH);
    for (let i = 0; i < 1_400 && !connection.gone; i += 1)
      await connection.send(frame(FRAME.headers, FLAG.endHeaders, 1 + 2 * i, block));
    const refused = await connection.find(({ type }) => type === FRAME.rstStream || type === FRAME.goaway);
    expect(refused !== undefined || connection.gone).toBe(true);
  });
});
