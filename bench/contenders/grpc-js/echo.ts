// The server of the grpc-js contender as a process. Messages are bytes to it: what a codec costs is not charged to grpc-js.
// Usage: node bench/contenders/grpc-js/echo.ts

import process from "node:process";
import { create, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import {
  Health,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from "../../../gen/health/v1/health_pb.ts";
import { askedToStop, sayReady } from "../../support/process.ts";

const asIs = (bytes: Buffer): Buffer => bytes;
const SERVICE: ServiceDefinition = {
  check: {
    path: `/${Health.typeName}/${Health.method.check.name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};
const SERVING = Buffer.from(
  toBinary(
    HealthCheckResponseSchema,
    create(HealthCheckResponseSchema, { status: HealthCheckResponse_ServingStatus.SERVING }),
  ),
);

const server = new Server();
server.addService(SERVICE, {
  check: (_call: unknown, answer: (error: null, response: Buffer) => void) => answer(null, SERVING),
});
const port = await new Promise<number>((bound, failed) => {
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, found) =>
    error === null ? bound(found) : failed(error),
  );
});
const stop = askedToStop();
sayReady({ url: `http://127.0.0.1:${port}` });
await stop;
server.forceShutdown();
process.exit(0);
