// Which errors reach a client as they are, and which only as INTERNAL with a request id.
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { unexpectedErrors } from "../../../lib/rpc/interceptors/unexpected-error.ts";
import type { UnexpectedErrorContext } from "../../../lib/rpc/interceptors/unexpected-error.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { failureOf } from "../../support/rpc-call.ts";

function setup(fail: (signal: AbortSignal) => unknown, hook: () => void = () => undefined) {
  const reported: [unknown, UnexpectedErrorContext][] = [];
  const interceptor = unexpectedErrors({
    requestId: () => "r-1",
    onUnexpected: (error, context) => {
      reported.push([error, context]);
      hook();
    },
  });
  const transport = createRouterTransport(
    (router) =>
      router.service(Health, {
        check: async (_, { signal }) => {
          throw await fail(signal);
        },
        async *watch(_, { signal }) {
          yield { status: 1 };
          throw await fail(signal);
        },
      }),
    { router: { interceptors: [interceptor] } },
  );
  const client = createClient(Health, transport);
  const calls = {
    unary: (signal?: AbortSignal) => client.check({}, signal === undefined ? {} : { signal }),
    stream: async (signal?: AbortSignal) => {
      for await (const { status } of client.watch({}, signal === undefined ? {} : { signal })) {
        expect(status).toBe(1);
      }
    },
  };
  return { calls, reported };
}

const kinds = ["unary", "stream"] as const;

test.for(kinds)("an unforeseen error of a %s call is INTERNAL, concealed and reported once", async (kind) => {
  const failure = new TypeError("secret of /etc/passwd");
  const { calls, reported } = setup(() => failure);
  const error = await failureOf(calls[kind]());
  expect(error.code).toBe(Code.Internal);
  expect(error.rawMessage).toBe("internal error, request id r-1");
  expect(readDetails(error)).toMatchObject({ reason: "INTERNAL", requestId: "r-1" });
  const onTheWire = error.details.map((detail) =>
    "desc" in detail ? "" : Buffer.from(detail.value).toString("latin1"),
  );
  expect(onTheWire.join()).toContain("r-1");
  expect(onTheWire.join()).not.toContain("secret");
  const method = kind === "unary" ? "Check" : "Watch";
  expect(reported).toEqual([[failure, { requestId: "r-1", service: "grpc.health.v1.Health", method }]]);
});

test.for(kinds)("an error raised on purpose by a %s call passes as it is", async (kind) => {
  const { calls, reported } = setup(() => new ConnectError("full", Code.ResourceExhausted));
  const error = await failureOf(calls[kind]());
  expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, "full"]);
  expect(reported).toEqual([]);
});

test.for(kinds)("what a %s handler throws because the caller left is not reported", async (kind) => {
  const left = Promise.withResolvers<void>();
  const controller = new AbortController();
  const { calls, reported } = setup(async (signal) => {
    controller.abort();
    await new Promise((resolve) => {
      signal.addEventListener("abort", resolve);
      if (signal.aborted) {
        resolve(undefined);
      }
    });
    left.resolve();
    return new DOMException("This operation was aborted", "AbortError");
  });
  expect((await failureOf(calls[kind](controller.signal))).code).toBe(Code.Canceled);
  await left.promise;
  await new Promise((resolve) => setImmediate(resolve));
  expect(reported).toEqual([]);
});

test("a hook that throws does not keep the client from its answer", async () => {
  const { calls, reported } = setup(
    () => new Error("first"),
    () => {
      throw new Error("second");
    },
  );
  expect((await failureOf(calls.unary())).code).toBe(Code.Internal);
  expect(reported).toHaveLength(1);
});

test("values that are not errors are concealed, too", async () => {
  const { calls, reported } = setup(() => "secret");
  expect((await failureOf(calls.unary())).message).not.toContain("secret");
  expect(reported[0]?.[0]).toBe("secret");
});
