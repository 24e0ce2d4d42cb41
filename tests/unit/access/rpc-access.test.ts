import { expect, test } from "vitest";
import { ServerReflection as ServerReflectionV1 } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { accessOf } from "../../../services/coordinator/access/rpc-access.ts";
import { SERVICES } from "../../support/services.ts";

const ALL = [...SERVICES, Health, ServerReflectionV1, ServerReflectionV1Alpha].flatMap(({ methods }) => methods);

test.for(ALL.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
  "what %s needs stands in the table",
  ([, method]) => {
    expect(accessOf(method)).toBeDefined();
  },
);

test("nothing but a health check can be had without a credential", () => {
  const open = ALL.filter((method) => accessOf(method)?.who === "anybody").map(
    ({ parent, name }) => `${parent.typeName}/${name}`,
  );
  expect(open).toEqual(["grpc.health.v1.Health/Check"]);
});

test("every call of the mesh's own services needs an action", () => {
  const without = SERVICES.flatMap(({ methods }) => methods).filter((method) => accessOf(method)?.who !== "allowed");
  expect(without).toEqual([]);
});

test("a stream token is good for what the contract says, and for nothing else", () => {
  const allowed = ALL.filter((method) => {
    const access = accessOf(method);
    return access?.who === "allowed" && access.streamToken;
  });
  expect(allowed.map(({ name }) => name).toSorted()).toEqual(["GetTaskStatus", "StreamResults", "WatchTasks"]);
});

test("a call of which the table says nothing is known to nobody", () => {
  const [method] = SERVICES[0]!.methods;
  expect(accessOf({ parent: method!.parent, localName: "constructor" })).toBeUndefined();
  expect(accessOf({ parent: method!.parent, localName: "sudo" })).toBeUndefined();
});
