// The message of a gRPC error as different clients read it.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { credentials, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { expect, test } from "vitest";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { withReadableMessages } from "../../../lib/rpc/interceptors/status-message.ts";
import { openListener } from "../../../lib/rpc/listener/listener.ts";
import { failureOf } from "../../support/rpc-call.ts";

const HealthClient = makeClientConstructor(healthService, "grpc.health.v1.Health");

test.for([
  ["with what a URI reserves", 'task_id: is "a/b", must be 1–64 of [a-z]; see #2 & $x = y + @z?'],
  ["with escapes of its own", "50% of %3A and %2525"],
  ["of several lines, with blanks around it", "  one\n\ttwo  "],
  ["beyond ASCII", "größer als 5 € — 🌍"],
  ["that is empty", ""],
] as const)("a message %s reaches grpc-js and Connect as it is", async ([, message]) => {
  const fail = (): never => {
    throw new ConnectError(message, Code.InvalidArgument);
  };
  const handler = withReadableMessages(
    connectNodeAdapter({ routes: (router) => void router.service(Health, { check: fail }) }),
  );
  await using listener = await openListener({ handler });
  const client = new HealthClient(`127.0.0.1:${listener.address.port}`, credentials.createInsecure());
  const error = await new Promise<ServiceError>((resolve) => {
    client["check"]!({ service: "" }, (failure: ServiceError) => resolve(failure));
  });
  client.close();
  expect(error.details).toBe(message);
  const connect = createClient(Health, createGrpcTransport({ baseUrl: listener.url }));
  expect((await failureOf(connect.check({}))).rawMessage).toBe(message);
});
