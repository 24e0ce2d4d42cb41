// The server of the http2 contender as a process: says in gRPC's format, once it has all of a request, that it serves. Looks at nothing.
// Usage: node bench/contenders/http2/echo.ts

import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { create, toBinary } from "@bufbuild/protobuf";
import { HealthCheckResponse_ServingStatus, HealthCheckResponseSchema } from "../../../gen/health/v1/health_pb.ts";
import { envelope } from "../../../tests/support/raw-http2.ts";
import { askedToStop, sayReady } from "../../support/process.ts";

const SERVING = envelope(
  toBinary(
    HealthCheckResponseSchema,
    create(HealthCheckResponseSchema, { status: HealthCheckResponse_ServingStatus.SERVING }),
  ),
);

function answer(stream: ServerHttp2Stream): void {
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.end(SERVING);
}

const server = createServer();
server.on("stream", (stream) => {
  // A caller that has gone away needs no answer.
  stream.on("error", () => undefined);
  stream.on("end", () => answer(stream));
  stream.resume();
});
await new Promise<void>((listening) => {
  server.listen(0, "127.0.0.1", listening);
});
const stop = askedToStop();
sayReady({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
await stop;
process.exit(0);
