// What the client promises about credentials: which calls carry them, where they never go, and what becomes of one that is refused.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { accessFromEnvironment, credentialIn } from "../../../sdk/access/environment.ts";
import { type ClientOptions, createClient } from "../../../sdk/client/index.ts";
import { type CertificateFiles, openTestAuthority, type TestAuthority } from "../../support/certificates.ts";
import { type FakeCoordinator, openFakeCoordinator } from "../../support/fake-coordinator.ts";

let authority: TestAuthority;
let server: CertificateFiles;
beforeAll(async () => {
  authority = await openTestAuthority();
  server = await authority.issue("server");
});
afterAll(() => authority[Symbol.asyncDispose]());

const openMesh = (): Promise<FakeCoordinator> => openFakeCoordinator({ tls: { cert: server.cert, key: server.key } });
const refusal = () =>
  richError({ code: Code.Unauthenticated, reason: "CREDENTIAL_INVALID", message: "the credential is not valid" });
const shownIn = ({ calls }: FakeCoordinator): (string | null)[] =>
  calls.map(({ headers }) => headers.get("authorization"));
/** Gives `t1`, `t2`, … and remembers why it was asked. */
function tokens(): {
  readonly source: (why: { readonly refused: boolean }) => Promise<string>;
  readonly asked: boolean[];
} {
  const asked: boolean[] = [];
  const source = ({ refused }: { readonly refused: boolean }): Promise<string> =>
    Promise.resolve(`t${asked.push(refused)}`);
  return { source, asked };
}
const lines = (options: Partial<ClientOptions>): string => {
  try {
    void createClient({ url: "http://127.0.0.1:1", ...options })[Symbol.asyncDispose]();
    return "taken";
  } catch (error) {
    expect(error).toMatchObject({ reason: "INVALID_OPTION" });
    return (error as Error).message;
  }
};

describe.for(["grpc", "connect", "grpc-web"] as const)("over %s", (transport) => {
  test("a token goes with every call, health among them", async () => {
    await using mesh = await openMesh();
    await using client = createClient({ url: mesh.url, transport, token: "secret", tls: { ca: authority.caFile } });
    expect((await client.health()).healthy).toBe(true);
    const { taskId } = await client.submit("story");
    await Array.fromAsync(client.watch(taskId));
    await client.submitMany(["echo", "echo"].map((type) => ({ type })));
    await Array.fromAsync(client.submitStream([{ type: "echo" }]));
    await Promise.all([client.submit("echo"), client.submit("echo")]);
    const { blobId } = await client.uploadBlob(Buffer.from("content"));
    await client.downloadBlob(blobId).bytes();
    expect(new Set(mesh.calls.map(({ method }) => method)).size).toBeGreaterThanOrEqual(5);
    expect(new Set(shownIn(mesh))).toEqual(new Set(["Bearer secret"]));
  });

  test("a source of tokens is asked for each call", async () => {
    await using mesh = await openMesh();
    const { source, asked } = tokens();
    await using client = createClient({ url: mesh.url, transport, token: source, tls: { ca: authority.cert } });
    const { taskId } = await client.submit("echo");
    await client.status(taskId);
    await Promise.all([client.submit("echo"), client.submit("echo")]);
    expect(shownIn(mesh)).toEqual(["Bearer t1", "Bearer t2", "Bearer t3"]);
    expect(asked).toEqual([false, false, false]);
  });

  test("a call that is refused is made once more with the next token", async () => {
    await using mesh = await openMesh();
    const { source, asked } = tokens();
    await using client = createClient({ url: mesh.url, transport, token: source, tls: { ca: authority.cert } });
    mesh.failNext("SubmitTask", refusal());
    await client.submit("echo");
    expect(shownIn(mesh)).toEqual(["Bearer t1", "Bearer t2"]);
    expect(asked).toEqual([false, true]);
    mesh.failNext("SubmitTask", refusal(), refusal());
    await expect(client.submit("echo")).rejects.toMatchObject({
      code: "unauthenticated",
      reason: "CREDENTIAL_INVALID",
    });
    expect(asked).toEqual([false, true, false, true]);
    await client.submit("echo");
    expect(asked).toEqual([false, true, false, true, true]);
  });

  test("a stream that is refused as it is resumed goes on with the next token, every event once", async () => {
    await using mesh = await openMesh();
    const { source, asked } = tokens();
    await using client = createClient({ url: mesh.url, transport, token: source, tls: { ca: authority.cert } });
    const { taskId } = await client.submit("story");
    mesh.stallAfter(2);
    const seen: number[] = [];
    for await (const { sequence } of client.watch(taskId)) {
      seen.push(sequence);
      if (sequence === 2) {
        mesh.failNext("StreamResults", refusal());
        mesh.cut();
      }
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(shownIn(mesh)).toEqual(["Bearer t1", "Bearer t2", "Bearer t3", "Bearer t4"]);
    expect(asked).toEqual([false, false, false, true]);
  });
});

describe("a credential that is refused", () => {
  test("is final if it can't change", async () => {
    await using mesh = await openMesh();
    await using client = createClient({ url: mesh.url, apiKey: "mk_a_b", tls: { ca: authority.cert } });
    mesh.failNext("SubmitTask", refusal());
    await expect(client.submit("echo")).rejects.toMatchObject({ code: "unauthenticated" });
    mesh.failNext("StreamResults", refusal());
    await expect(Array.fromAsync(client.watch("x"))).rejects.toMatchObject({ code: "unauthenticated" });
    expect(shownIn(mesh)).toEqual(["Bearer mk_a_b", "Bearer mk_a_b"]);
  });

  test("is not shown again when the source has no other", async () => {
    await using mesh = await openMesh();
    await using client = createClient({ url: mesh.url, token: () => "same", tls: { ca: authority.cert } });
    mesh.failNext("SubmitTask", refusal());
    await expect(client.submit("echo")).rejects.toMatchObject({ code: "unauthenticated" });
    expect(mesh.count("SubmitTask")).toBe(1);
  });

  test("ends a stream when the next one is no better", async () => {
    await using mesh = await openMesh();
    const { source, asked } = tokens();
    await using client = createClient({ url: mesh.url, token: source, tls: { ca: authority.cert } });
    mesh.failNext("StreamResults", refusal(), refusal(), refusal());
    await expect(Array.fromAsync(client.watch("x"))).rejects.toMatchObject({ code: "unauthenticated" });
    expect(asked).toEqual([false, true]);
  });

  test("does not end a watch of agents, nor a stream of submissions, when the next one is good", async () => {
    await using mesh = await openMesh();
    const { source } = tokens();
    await using client = createClient({ url: mesh.url, token: source, tls: { ca: authority.cert } });
    mesh.failNext("WatchAgents", refusal());
    for await (const event of client.watchAgents()) {
      expect(event.kind).toBe("synced");
      break;
    }
    mesh.failNext("SubmitTaskStream", refusal());
    const acks = await Array.fromAsync(client.submitStream([{ type: "echo" }, { type: "echo" }]));
    expect(acks.map(({ index }) => index)).toEqual([0, 1]);
  });

  test("whose source fails fails the call in one line, and reaches nobody", async () => {
    await using mesh = await openMesh();
    const token = (): Promise<string> => Promise.reject(new Error("the issuer is away"));
    await using client = createClient({ url: mesh.url, token, tls: { ca: authority.cert } });
    await expect(client.submit("echo")).rejects.toMatchObject({
      code: "unauthenticated",
      message: "no credential for the call: the issuer is away",
    });
    await using other = createClient({ url: mesh.url, token: () => "two words", tls: { ca: authority.cert } });
    await expect(other.submit("echo")).rejects.toMatchObject({
      message: "no credential for the call: token must be visible ASCII characters without spaces, at least one",
    });
    expect(mesh.calls).toEqual([]);
  });
});

describe("a credential in a file", () => {
  test("is read at each call, so that a renewed one is used at once", async () => {
    await using mesh = await openMesh();
    const file = join(authority.dir, "token");
    await writeFile(file, "first\n");
    await using client = createClient({ url: mesh.url, token: credentialIn(file), tls: { ca: authority.cert } });
    await client.submit("echo");
    await writeFile(file, "second\n");
    await client.submit("echo");
    expect(shownIn(mesh)).toEqual(["Bearer first", "Bearer second"]);
  });
});

describe("credentials", () => {
  test("are never sent unencrypted beyond this machine", () => {
    const far = { url: "http://192.0.2.1:8080" };
    const line = "credentials are not sent unencrypted to 192.0.2.1:8080: use https";
    expect(lines({ ...far, token: "secret" })).toBe(line);
    expect(lines({ ...far, token: () => "secret" })).toBe(line);
    expect(lines({ ...far, apiKey: "secret" })).toBe(line);
    expect(lines({ ...far, headers: { Authorization: "Bearer secret" } })).toBe(line);
    for (const host of [
      "localhost.example.org",
      "127.0.0.1.example.org",
      "mesh.localhost",
      "localhost.",
      "0.0.0.0",
      "10.0.0.1",
      "[::ffff:7f00:1]",
    ]) {
      expect(lines({ url: `http://${host}`, token: "secret" })).toMatch(/^credentials are not sent unencrypted/);
    }
    for (const host of ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"]) {
      expect(lines({ url: `http://${host}`, token: "secret" })).toBe("taken");
    }
    expect(lines({ ...far, token: "secret", allowCleartextCredentials: true })).toBe("taken");
    expect(lines(far)).toBe("taken");
  });

  test("are refused among several URLs if one is not encrypted", () => {
    expect(() => createClient({ urls: ["https://192.0.2.1", "http://192.0.2.2"], token: "secret" })).toThrow(
      "credentials are not sent unencrypted to 192.0.2.2: use https",
    );
  });

  test("that contradict each other or can't be sent are refused, and never shown", () => {
    expect(lines({ token: "secret", apiKey: "secret" })).toBe("token and apiKey must not be given both");
    expect(lines({ token: "secret", headers: { authorization: "x" } })).toBe(
      "token and an authorization header must not be given both",
    );
    for (const token of ["", "a b", "a\nb", "ä"]) {
      expect(lines({ token })).toBe("token must be visible ASCII characters without spaces, at least one");
    }
  });

  test("of the environment are read by their names", async () => {
    expect(accessFromEnvironment({})).toEqual({});
    expect(accessFromEnvironment({ MYCEL_TOKEN: "", MYCEL_CA_FILE: "" })).toEqual({});
    expect(
      accessFromEnvironment({
        MYCEL_API_KEY: "mk",
        MYCEL_CA_FILE: "ca",
        MYCEL_CERT_FILE: "cert",
        MYCEL_KEY_FILE: "key",
        MYCEL_SERVER_NAME: "mesh",
        MYCEL_PINS: "a, b",
        MYCEL_ALLOW_CLEARTEXT_CREDENTIALS: "true",
      }),
    ).toEqual({
      apiKey: "mk",
      tls: { ca: "ca", cert: "cert", key: "key", serverName: "mesh", pins: ["a", "b"] },
      allowCleartextCredentials: true,
    });
    const { token } = accessFromEnvironment({ MYCEL_TOKEN_FILE: authority.caFile });
    expect(typeof token === "function" ? await token({ refused: false }) : token).toBe(authority.cert.trim());
    expect(() => accessFromEnvironment({ MYCEL_TOKEN: "a", MYCEL_TOKEN_FILE: "b" })).toThrow(
      "MYCEL_TOKEN and MYCEL_TOKEN_FILE are both set",
    );
    expect(() => accessFromEnvironment({ MYCEL_TOKEN: "a", MYCEL_API_KEY: "b" })).toThrow(
      "a token and an API key are both set",
    );
  });
});
