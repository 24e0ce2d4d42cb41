import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AgentService, CancelTaskRequestSchema, GetTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService, UploadBlobRequestSchema } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { grpcurlCall, type ShownCall } from "../../../cli/grpcurl/grpcurl-call.ts";
import { outputOf } from "../../support/command.ts";

const CALL: ShownCall = {
  url: "http://127.0.0.1:8080",
  method: AgentService.method.getTask,
  requests: [create(GetTaskRequestSchema, { taskId: "t-1" })],
};

test.for<[string, Partial<ShownCall>, string]>([
  ["without TLS", {}, '-plaintext -d \'{"taskId":"t-1"}\' 127.0.0.1:8080'],
  ["with the port of http", { url: "http://mesh" }, '-plaintext -d \'{"taskId":"t-1"}\' mesh:80'],
  ["to an IPv6 address", { url: "http://[::1]:8080" }, "-plaintext -d '{\"taskId\":\"t-1\"}' '[::1]:8080'"],
  ["with TLS", { url: "https://mesh/" }, '-d \'{"taskId":"t-1"}\' mesh:443'],
  [
    "with certificates",
    { url: "https://mesh", caFile: "/my ca" },
    "-cacert '/my ca' -d '{\"taskId\":\"t-1\"}' mesh:443",
  ],
  [
    "with a certificate of its own, for a server of another name",
    { url: "https://mesh", caFile: "ca", certFile: "own.crt", keyFile: "own.key", serverName: "other" },
    '-cacert ca -cert own.crt -key own.key -servername other -d \'{"taskId":"t-1"}\' mesh:443',
  ],
  [
    "with a credential, by the name of its variable",
    { url: "https://mesh", credential: { variable: "MYCEL_TOKEN", file: undefined } },
    "-expand-headers -H 'authorization: Bearer ${MYCEL_TOKEN}' -d '{\"taskId\":\"t-1\"}' mesh:443",
  ],
  ["with any certificate", { url: "https://mesh:8", insecure: true }, '-insecure -d \'{"taskId":"t-1"}\' mesh:8'],
])("a call is written down %s", ([, change, words]) => {
  expect(grpcurlCall({ ...CALL, ...change })).toBe(`grpcurl ${words} mycel.v1.AgentService/GetTask`);
});

test("a credential in a file is put into the environment, not onto the command line", () => {
  const line = grpcurlCall({ ...CALL, credential: { variable: "MYCEL_API_KEY", file: "my key" } });
  expect(line).toMatch(
    /^MYCEL_API_KEY="\$\(cat 'my key'\)" grpcurl -plaintext -expand-headers -H 'authorization: Bearer \$\{MYCEL_API_KEY\}' /,
  );
});

test("several messages, and one that is too long for an argument, go in as standard input", async () => {
  const chunk = (data: string) =>
    create(UploadBlobRequestSchema, { part: { case: "chunk", value: Buffer.from(data) } });
  const several = { ...CALL, method: BlobService.method.uploadBlob, requests: [chunk("a"), chunk("b")] };
  expect(await readByShell(grpcurlCall(several))).toEqual({
    words: ["-plaintext", "-d", "@", "127.0.0.1:8080", "mycel.v1.BlobService/UploadBlob"],
    input: '{"chunk":"YQ=="}\n{"chunk":"Yg=="}\n',
  });
  const long = { ...several, requests: [chunk("x".repeat(200_000))] };
  expect((await readByShell(grpcurlCall(long))).input).toBe(`{"chunk":"${btoa("x".repeat(200_000))}"}\n`);
});

test.for(["it's", '"quoted"', "$HOME `id` $(id)", "a\nb", "\\", "'''", "*", "END"])(
  "a shell reads back what a request holds: %j",
  async (reason) => {
    const requests = [create(CancelTaskRequestSchema, { taskId: "t-1", reason })];
    const { words } = await readByShell(grpcurlCall({ ...CALL, method: AgentService.method.cancelTask, requests }));
    expect(JSON.parse(words[2]!)).toEqual({ taskId: "t-1", reason });
  },
);

/** What the program would be given by a POSIX shell. */
async function readByShell(line: string): Promise<{ words: string[]; input: string }> {
  const script = `grpcurl() { printf '%s\\0' "$@"; printf '\\1'; if [ "$3" = @ ]; then cat; fi; }\n${line}\n`;
  const stdout = await outputOf("sh", ["-s"], { input: script });
  const [words = "", input = ""] = stdout.split("\u0001");
  return { words: words.split("\0").slice(0, -1), input };
}
