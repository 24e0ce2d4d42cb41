// What no client sends before it speaks HTTP: bytes that are none, requests that are half of one, connections that say nothing. Others are
// served all the while, and nothing is left when the connections are gone.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { TestMesh } from "../support/processes.ts";
import { openRawConnection } from "../support/raw-connection.ts";
import { FRAME, frame, PREFACE } from "../support/raw-http2.ts";
import { besideOthers } from "./bystander.ts";
import { FUZZ_FACTOR, FUZZ_SEED, randomBytes, randomFrom } from "./fuzz-run.ts";
import { openWatchedMesh } from "./vitals.ts";

const random = randomFrom(FUZZ_SEED);

let mesh: TestMesh;
let port: number;
beforeAll(async () => {
  mesh = await openWatchedMesh();
  port = Number(new URL(mesh.urls[0]!).port);
});
afterAll(() => mesh[Symbol.asyncDispose]());

describe("bytes that are no HTTP", () => {
  besideOthers(() => mesh);

  const text = (bytes: string): Buffer => Buffer.from(bytes, "latin1");
  const pieces: readonly (readonly [string, Uint8Array])[] = [
    ["a TLS ClientHello", Buffer.from("16030100c8010000c40303" + "ab".repeat(190), "hex")],
    ["an SSH banner", text("SSH-2.0-OpenSSH_9.6\r\n")],
    ["zeros", new Uint8Array(4_096)],
    ["0xff", new Uint8Array(4_096).fill(255)],
    ["a request line without end", text(`GET /${"a".repeat(200_000)}`)],
    ["no version", text("GET /\r\n\r\n")],
    ["an unknown method", text("BREW /pot HTCPCP/1.0\r\n\r\n")],
    ["a header without a colon", text("GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n")],
    ["a header with a zero in it", text("GET / HTTP/1.1\r\nHost: x\r\nA: b\u0000c\r\n\r\n")],
    ["two lengths", text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")],
    [
      "a length and chunks",
      text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
    ["a negative length", text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")],
    [
      "a chunk size beyond all numbers",
      text("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
    ],
    ["garbage behind a request", text(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\u0000\u0001\u0002`)],
    [
      "10,000 headers",
      text(`GET / HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 10_000 }, (_, i) => `h${i}: v`).join("\r\n")}\r\n\r\n`),
    ],
    ["a header of 64 KiB", text(`GET / HTTP/1.1\r\nHost: x\r\nH: ${"v".repeat(65_536)}\r\n\r\n`)],
    ["a preface, then noise", Buffer.concat([PREFACE, randomBytes(random, 500)])],
    ["a preface, then HTTP/1", Buffer.concat([PREFACE, text("GET / HTTP/1.1\r\nHost: x\r\n\r\n")])],
    ["half a preface, then noise", Buffer.concat([PREFACE.subarray(0, 12), randomBytes(random, 500)])],
    ["a tunnel", text("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")],
    [
      "a frame longer than any",
      Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0), frame(FRAME.data, 0, 1, new Uint8Array(9), 0xffffff)]),
    ],
    ...Array.from(
      { length: 40 * FUZZ_FACTOR },
      (_, i) => [`noise ${i}`, randomBytes(random, 1 + Math.trunc(random() * 3_000))] as const,
    ),
  ];

  test("are refused, and their connections closed", async () => {
    const kept: string[] = [];
    await Promise.all(
      pieces.map(async ([name, bytes]) => {
        await using connection = await openRawConnection(port);
        connection.socket.write(bytes);
        // What might still become a request gets its time: 10 s from the first byte.
        const over = await Promise.race([
          connection.closed.then(() => true),
          new Promise((late) => setTimeout(late, 16_000, false)),
        ]);
        if (over !== true) kept.push(`${name}: ${connection.received().toString("latin1").slice(0, 100)}`);
      }),
    );
    expect(kept).toEqual([]);
  });

  test("a pipeline of thousands of requests is answered in order", async () => {
    await using connection = await openRawConnection(port);
    const request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.socket.write(request.repeat(5_000));
    const count = (received: Buffer): number => received.toString("latin1").split("HTTP/1.1 200").length - 1;
    expect(count(await connection.until((received) => count(received) === 5_000))).toBe(5_000);
  });
});

describe("connections that say nothing, or too little", () => {
  besideOthers(() => mesh);

  test("are closed after a while, however many there are", async () => {
    const connections = await Promise.all(Array.from({ length: 1_500 }, () => openRawConnection(port)));
    connections.forEach(({ socket }, i) => {
      // Silent; half a preface; half a request line; half a header; an HTTP/2 hello that goes no further.
      const starts = ["", "PRI * HT", "GET /heal", "GET / HTTP/1.1\r\nHost: x\r\nA", PREFACE];
      socket.write(starts[i % starts.length]!);
    });
    const rpc = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
    expect(await rpc.listTasks({ pageSize: 1 })).toMatchObject({});
    await Promise.all(connections.map(({ closed }) => closed));
  });

  test("a request that is followed by the end of the connection is answered", async () => {
    await using connection = await openRawConnection(port);
    connection.socket.end("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect((await connection.closed).toString()).toContain("200 OK");
  });
});
