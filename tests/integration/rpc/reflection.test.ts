// Reflection as its clients see it: both versions over gRPC, and `buf curl`, which has no schema but what it is given.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createFileRegistry, createRegistry, fromBinary } from "@bufbuild/protobuf";
import type { DescMethodUnary, DescService, MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Client } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../../gen/google/rpc/status_pb.ts";
import { ServerReflection, ServerReflectionRequestSchema } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { addReflection } from "../../../lib/rpc/reflection/reflection.ts";
import { openRpcServer } from "../../support/rpc-server.ts";
import type { RpcServer } from "../../support/rpc-server.ts";

const run = promisify(execFile);
const BUF = join(import.meta.dirname, "../../../node_modules/.bin/buf");
const SERVICES = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];
const registry = createRegistry(file_google_rpc_error_details, file_google_rpc_status);

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

function clientOf(server: RpcServer, version: DescService): Client<typeof ServerReflection> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- both versions have the shape of v1
  return createClient(version as typeof ServerReflection, createGrpcTransport({ baseUrl: server.url }));
}

async function* each<T>(...items: T[]): AsyncIterable<T> {
  yield* items;
}

// Asks several questions on one stream; a file answer is shown by the names of its files.
async function ask(server: RpcServer, version: DescService, questions: readonly Question[]): Promise<unknown[]> {
  const answers: unknown[] = [];
  const requests = each(...questions.map((messageRequest) => ({ host: "h", messageRequest })));
  for await (const answer of clientOf(server, version).serverReflectionInfo(requests)) {
    const { messageResponse, originalRequest, validHost } = answer;
    expect(validHost).toBe("h");
    expect(originalRequest?.messageRequest).toMatchObject(questions[answers.length]!);
    if (messageResponse.case === "fileDescriptorResponse") {
      const files = messageResponse.value.fileDescriptorProto;
      answers.push(files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name));
    } else if (messageResponse.case === "listServicesResponse") {
      answers.push(messageResponse.value.service.map(({ name }) => name));
    } else if (messageResponse.case === "allExtensionNumbersResponse") {
      answers.push([messageResponse.value.baseTypeName, ...messageResponse.value.extensionNumber]);
    } else {
      answers.push(messageResponse.value);
    }
  }
  return answers;
}

describe.for([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionV1Alpha],
] as const)("reflection %s", ([, version]) => {
  test("lists the services, itself included", async () => {
    await using server = await openRpcServer();
    expect(await ask(server, version, [{ case: "listServices", value: "*" }])).toEqual([SERVICES]);
  });

  test("answers by file name and by symbol, with imports, each import once a stream", async () => {
    await using server = await openRpcServer({ reflection: { registry } });
    const [details, duration] = ["google/rpc/error_details.proto", "google/protobuf/duration.proto"];
    expect(
      await ask(server, version, [
        { case: "fileContainingSymbol", value: "google.rpc.RetryInfo" },
        { case: "fileContainingSymbol", value: "google.rpc.ErrorInfo" },
        { case: "fileByFilename", value: "google/protobuf/duration.proto" },
        { case: "fileContainingSymbol", value: "google.rpc.Status" },
        { case: "fileContainingSymbol", value: "grpc.health.v1.Health.Watch" },
      ]),
    ).toEqual([
      [details, duration],
      [details],
      [duration],
      ["google/rpc/status.proto", "google/protobuf/any.proto"],
      ["health/v1/health.proto"],
    ]);
  });

  test("answers NOT_FOUND for each kind of question, and goes on", async () => {
    await using server = await openRpcServer();
    const answers = await ask(server, version, [
      { case: "fileByFilename", value: "no/such.proto" },
      { case: "fileContainingSymbol", value: "no.Such" },
      {
        case: "fileContainingExtension",
        value: { containingType: "grpc.health.v1.HealthCheckRequest", extensionNumber: 7 },
      },
      { case: "allExtensionNumbersOfType", value: "no.Such" },
      { case: "allExtensionNumbersOfType", value: "grpc.health.v1.HealthCheckRequest" },
    ]);
    expect(answers.slice(0, 4)).toEqual(
      [
        'file "no/such.proto"',
        'symbol "no.Such"',
        'extension 7 of "grpc.health.v1.HealthCheckRequest"',
        'message "no.Such"',
      ].map((what) => expect.objectContaining({ errorCode: Code.NotFound, errorMessage: `${what} not found` })),
    );
    expect(answers[4]).toEqual(["grpc.health.v1.HealthCheckRequest"]);
  });

  test("a request of no known kind is INVALID_ARGUMENT in the stream", async () => {
    await using server = await openRpcServer();
    const answers = clientOf(server, version).serverReflectionInfo(each({ host: "h" }));
    for await (const { messageResponse } of answers) {
      expect(messageResponse).toMatchObject({ case: "errorResponse", value: { errorCode: Code.InvalidArgument } });
    }
    expect.assertions(1);
  });
});

test("an idle stream ends when the server shuts down", async () => {
  const shutdown = new AbortController();
  await using server = await openRpcServer({ router: { shutdownSignal: shutdown.signal } });
  const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: server.url }));
  const idle = Promise.withResolvers<void>();
  const answers = client.serverReflectionInfo(
    (async function* () {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
      await idle.promise;
    })(),
  );
  const reading = (async () => {
    for await (const _ of answers) {
      shutdown.abort(new ConnectError("draining", Code.Unavailable));
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: "draining" });
  idle.resolve();
});

describe("buf curl", () => {
  // A schema of its own, so that options and imports are those of a compiler and not of generated code.
  const EXAMPLE = `
    syntax = "proto3";
    package example.v1;
    import "google/protobuf/descriptor.proto";
    import "google/protobuf/timestamp.proto";
    extend google.protobuf.MethodOptions { string role = 50001; }
    service Clock {
      // Tells the time.
      rpc Now(NowRequest) returns (NowResponse) {
        option idempotency_level = NO_SIDE_EFFECTS;
        option (example.v1.role) = "reader";
      }
    }
    message NowRequest { optional string zone = 1; map<string, int32> offsets = 2; }
    message NowResponse { google.protobuf.Timestamp now = 1; }
  `;

  async function withExample<T>(use: (service: DescService) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), "reflection-"));
    try {
      await writeFile(join(folder, "example.proto"), EXAMPLE);
      const { stdout } = await run(BUF, ["build", folder, "-o", "-#format=binpb"], { encoding: "buffer" });
      const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, stdout));
      return await use(files.getService("example.v1.Clock")!);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  const curl = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(BUF, ["curl", "--protocol", "grpc", "--http2-prior-knowledge", ...args]);
    return stdout.trim();
  };

  test.for(["grpc-v1", "grpc-v1alpha"])("lists services and calls a method by %s alone", async (version) => {
    await using server = await openRpcServer();
    const byReflection = ["--reflect-protocol", version];
    expect((await curl(...byReflection, server.url, "--list-services")).split("\n")).toEqual(SERVICES);
    const called = await curl(...byReflection, "-d", '{"service":""}', `${server.url}/grpc.health.v1.Health/Check`);
    expect(JSON.parse(called)).toEqual({ status: "SERVING" });
  });

  test("calls a method whose schema has options, comments and imports, and options survive", async () => {
    await withExample(async (service) => {
      await using server = await openRpcServer({
        routes: (router) => {
          addReflection(router, { services: [service] });
          const now: DescMethodUnary = { ...service.method["now"]!, methodKind: "unary" };
          router.rpc(now, () => ({ now: { seconds: 1n } }));
        },
      });
      const called = await curl("-d", '{"zone":"UTC","offsets":{"a":1}}', `${server.url}/example.v1.Clock/Now`);
      expect(JSON.parse(called)).toEqual({ now: "1970-01-01T00:00:01Z" });

      const messageRequest = {
        case: "fileContainingExtension" as const,
        value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 50001 },
      };
      const answers = clientOf(server, ServerReflection).serverReflectionInfo(each({ messageRequest }));
      for await (const { messageResponse } of answers) {
        const files =
          messageResponse.case === "fileDescriptorResponse" ? messageResponse.value.fileDescriptorProto : [];
        const protos = files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
        const received = createFileRegistry(protos[0]!, (name) => protos.find((proto) => proto.name === name));
        const [now] = received.getService("example.v1.Clock")!.methods;
        expect(now?.idempotency).toBe(1);
        expect(now?.proto.options?.$unknown).toMatchObject([{ no: 50001 }]);
      }
      expect.assertions(3);
    });
  });
});
