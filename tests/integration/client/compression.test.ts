// What is compressed on its way to a coordinator, as it stands on the wire.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { expect, onTestFinished, test } from "vitest";
import { SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { resolveOptions } from "../../../sdk/client/client-options.ts";
import { type ClientOptions, createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";

interface Arrived {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A server that keeps what it is sent, and refuses it. */
async function openRecorder() {
  const arrived: Arrived[] = [];
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      arrived.push({ headers, body: Buffer.concat(pieces) });
      stream.respond(
        { ":status": 200, "content-type": "application/grpc+proto", "grpc-status": "3" },
        { endStream: true },
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { arrived, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function sent(inputBytes: number, options: Pick<ClientOptions, "compress">): Promise<Arrived> {
  const { arrived, url } = await openRecorder();
  await using client = createClient({ url, ...options });
  await expect(client.submit("echo", "a".repeat(inputBytes))).rejects.toMatchObject({ code: "invalid_argument" });
  return arrived[0]!;
}

test("a request above 1 KiB travels as gzip, and is what it was", async () => {
  const { headers, body } = await sent(100_000, { compress: true });
  expect(headers["grpc-encoding"]).toBe("gzip");
  expect(body[0]).toBe(1);
  expect(body.length).toBeLessThan(2_000);
  expect(body.readUInt32BE(1)).toBe(body.length - 5);
  const request = fromBinary(SubmitTaskRequestSchema, gunzipSync(body.subarray(5)));
  expect(request.input?.kind.value).toMatchObject({ kind: { case: "stringValue", value: "a".repeat(100_000) } });
});

test.for<[string, number, Pick<ClientOptions, "compress">]>([
  ["a small request", 500, { compress: true }],
  ["a request below the bound that was set", 3_000, { compress: 4_096 }],
  ["any request if told so", 100_000, { compress: false }],
  ["any request to this machine, unless told otherwise", 100_000, {}],
])("%s travels as it is", async ([, inputBytes, options]) => {
  const { headers, body } = await sent(inputBytes, options);
  expect(headers["grpc-encoding"]).toBeUndefined();
  expect(body[0]).toBe(0);
  expect(body.length).toBeGreaterThan(inputBytes);
});

test("a request that compression would lengthen travels as it is", async () => {
  const { arrived, url } = await openRecorder();
  await using client = createClient({ url, compress: true });
  const noise = crypto.getRandomValues(new Uint8Array(4_000));
  await expect(client.submit("echo", noise)).rejects.toMatchObject({ code: "invalid_argument" });
  expect(arrived[0]!.body[0]).toBe(0);
  expect(arrived[0]!.headers["grpc-encoding"]).toBeUndefined();
});

test.for(["grpc", "connect", "grpc-web"] as const)("a coordinator reads what %s compressed", async (transport) => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url, transport, compress: true });
  const text = "word ".repeat(2_000);
  const { taskId } = await client.submit("echo", { text });
  const { headers } = mesh.calls.find(({ method }) => method === "SubmitTask")!;
  expect(headers.get("grpc-encoding") ?? headers.get("content-encoding")).toBe("gzip");
  expect(await client.value((await client.get(taskId)).input)).toEqual({ text });
});

test.for<[string, boolean]>([
  ["http://localhost:8080", false],
  ["http://127.0.0.1:8080", false],
  ["http://127.1.2.3:8080", false],
  ["http://[::1]:8080", false],
  ["https://mesh.example.com", true],
  ["http://10.0.0.7:8080", true],
  ["http://127.0.0.1.example.com", true],
  ["http://localhost.example.com", true],
])("by default, requests to %s are compressed: %s", ([url, compressed]) => {
  expect(Number.isFinite(resolveOptions({ url }).compressFromBytes(url))).toBe(compressed);
});
