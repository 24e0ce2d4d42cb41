// The real grpcurl against a listener that requires client certificates, by hand and with the flags that `mycel --grpcurl` prints.
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dirname } from "node:path";
import { grpcurlCall } from "../../cli/grpcurl/grpcurl-call.ts";
import { Health, HealthCheckRequestSchema } from "../../gen/health/v1/health_pb.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../support/certificates.ts";
import { outputOf, runCommand } from "../support/command.ts";
import { openTlsServer, type TlsServer } from "../support/tls-server.ts";
import { findGrpcurl } from "./toolchain.ts";

const grpcurl = await findGrpcurl();

describe.skipIf(grpcurl === undefined)("grpcurl over TLS", () => {
  let authority: TestAuthority;
  let own: CertificateFiles;
  let server: TlsServer;
  beforeAll(async () => {
    authority = await openTestAuthority();
    own = await authority.issue("own", { use: "client" });
    const { certFile, keyFile } = await authority.issue("server", { use: "server" });
    server = await openTlsServer({ cert: certFile, key: keyFile, clientCa: authority.caFile });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await authority[Symbol.asyncDispose]();
  });
  const shown = (): string[] => ["-cacert", authority.caFile, "-cert", own.certFile, "-key", own.keyFile];

  test("lists the services and makes a call with a client certificate", async () => {
    const address = `localhost:${server.port}`;
    expect(await outputOf(grpcurl!, [...shown(), address, "list"])).toContain("grpc.health.v1.Health");
    const answer = await outputOf(grpcurl!, [...shown(), "-d", "{}", address, "grpc.health.v1.Health/Check"]);
    expect(JSON.parse(answer)).toEqual({ status: "SERVING" });
  });

  test("is refused without a certificate, and refuses a server that it does not trust", async () => {
    const address = `localhost:${server.port}`;
    const anonymous = await runCommand(grpcurl!, [
      "-connect-timeout",
      "2",
      "-cacert",
      authority.caFile,
      address,
      "list",
    ]);
    expect(anonymous.code).not.toBe(0);
    expect(server.refusals).toContain("handshake: ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
    expect((await runCommand(grpcurl!, [...shown().slice(2), address, "list"])).stderr).toContain("unknown authority");
    expect((await runCommand(grpcurl!, ["-plaintext", address, "list"])).code).not.toBe(0);
  });

  test("understands what mycel prints", async () => {
    const line = grpcurlCall({
      url: server.url,
      method: Health.method.check,
      requests: [create(HealthCheckRequestSchema, {})],
      caFile: authority.caFile,
      certFile: own.certFile,
      keyFile: own.keyFile,
      serverName: "localhost",
      credential: { variable: "MYCEL_TOKEN", file: undefined },
    });
    const env = { PATH: `${dirname(grpcurl!)}:${process.env["PATH"]}`, MYCEL_TOKEN: "secret" };
    expect(JSON.parse(await outputOf("sh", ["-s"], { input: line, env }))).toEqual({ status: "SERVING" });
  });
});
