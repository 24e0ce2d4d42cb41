// Which blobs a handler gets as the JSON value that they hold, and which it has to read.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { type Capability, defineAgent } from "../../../sdk/agent/index.ts";
import { callCapability } from "../../support/handler-call.ts";

const { capabilities } = defineAgent({ name: "a", capabilities: { echo: ({ input }) => ({ input }) } });
const echo: Capability = capabilities.get("echo")!;

async function inputOf(contentType: string, text: string): Promise<unknown> {
  const input = create(PayloadSchema, { kind: { case: "blob", value: { contentType, blobId: "b" } } });
  return (await callCapability(echo, input, { blobs: { b: Buffer.from(text) } })).result;
}

test.for(["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;a=b"])(
  "a blob of %s is the value that it holds",
  async (contentType) => {
    expect(await inputOf(contentType, '{"a":[1]}')).toEqual({ input: { a: [1] } });
  },
);

test.for([
  "application/json-patch+json",
  "application/json-seq",
  "application/json/x",
  "application/json5",
  "application/ld+json",
  "text/json",
  "x-application/json",
  "",
])("a blob of %j is read by the handler", async (contentType) => {
  expect(await inputOf(contentType, "\x1e{}\n{}")).toEqual({ input: undefined });
});
