// How errors carry google.rpc details, and that a client gets back what a server put in.
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { BadRequestSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { ERROR_DOMAIN, readDetails, richError } from "../../../lib/rpc/rich-error.ts";

const minimal = { code: Code.NotFound, reason: "TASK_NOT_FOUND", message: "no task t-1" } as const;

test("every error carries an ErrorInfo of this project's domain", () => {
  const error = richError(minimal);
  expect(error.code).toBe(Code.NotFound);
  expect(error.rawMessage).toBe("no task t-1");
  expect(readDetails(error)).toEqual({
    reason: "TASK_NOT_FOUND",
    domain: ERROR_DOMAIN,
    metadata: {},
    violations: [],
    quota: [],
    preconditions: [],
  });
});

test("all details come back as they were given, each detail type once", () => {
  const given = {
    domain: "example.com",
    metadata: { limit: "10000" },
    violations: [
      { field: "tasks[3].priority", description: "must be set" },
      { field: "tasks[4].type", description: "must be known", reason: "UNKNOWN_TYPE" },
    ],
    retryDelayMs: 1500,
    resource: { type: "task", name: "t-1", owner: "acme", description: "is gone" },
    quota: [{ subject: "queue:echo", description: "10,000 waiting tasks" }],
    preconditions: [{ type: "STATE", subject: "task:t-1", description: "must be terminal" }],
    requestId: "r-1",
  };
  const error = richError({ ...minimal, ...given });
  expect(readDetails(error)).toEqual({ ...given, reason: minimal.reason });
  const types = error.details.map((detail) => ("desc" in detail ? detail.desc.typeName : detail.type));
  expect(new Set(types).size).toBe(types.length);
  expect(types).toHaveLength(7);
});

test.for([
  [0, "0", "0"],
  [1, "1", "1"],
  [1000, "1", "1000"],
  [1000.2, "2", "1001"],
  [86_400_000, "86400", "86400000"],
])("a retry delay of %d ms is also sent as headers, rounded up", ([retryDelayMs, seconds, milliseconds]) => {
  const { metadata } = richError({ ...minimal, retryDelayMs: Number(retryDelayMs) });
  expect(metadata.get("retry-after")).toBe(seconds);
  expect(metadata.get("grpc-retry-pushback-ms")).toBe(milliseconds);
});

test.for([-1, 86_400_001, Number.NaN, Number.POSITIVE_INFINITY])(
  "a retry delay of %d ms is refused",
  (retryDelayMs) => {
    expect(() => richError({ ...minimal, retryDelayMs })).toThrow(`got ${retryDelayMs}`);
  },
);

test.for(["", "A", "lower", "WITH-DASH", "ENDS_", "9STARTS", `A${"B".repeat(63)}`])(
  "reason %j is refused",
  (reason) => {
    expect(() => richError({ ...minimal, reason })).toThrow(RangeError);
  },
);

test("a list too long for a gRPC trailer is cut, and says how much is missing", () => {
  const violations = Array.from({ length: 1000 }, (_, index) => ({
    field: `tasks[${index}].priority`,
    description: "must be one of CRITICAL, HIGH, NORMAL, LOW",
  }));
  const error = richError({ ...minimal, code: Code.InvalidArgument, violations });
  const shown = readDetails(error).violations;
  expect(shown[0]).toEqual(violations[0]);
  expect(shown.at(-1)).toEqual({ field: "", description: `${1000 - (shown.length - 1)} more not shown` });
  const [detail] = error.findDetails(BadRequestSchema);
  expect(toBinary(BadRequestSchema, create(BadRequestSchema, detail)).length).toBeLessThan(4200);
});

test("a single violation is shown however long it is", () => {
  const violations = [{ field: "input", description: "x".repeat(5000) }];
  expect(readDetails(richError({ ...minimal, violations })).violations).toEqual(violations);
});

test("an error without details reads as empty", () => {
  expect(readDetails(new ConnectError("plain", Code.Internal))).toEqual({
    metadata: {},
    violations: [],
    quota: [],
    preconditions: [],
  });
});

test("the cause stays on the error and does not travel", () => {
  const cause = new Error("secret");
  const error = richError({ ...minimal, cause });
  expect(error.cause).toBe(cause);
  expect(JSON.stringify(readDetails(error))).not.toContain("secret");
  expect([...error.metadata.values()].join()).not.toContain("secret");
});
