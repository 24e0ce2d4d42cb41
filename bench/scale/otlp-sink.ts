// A collector as a process: takes OTLP over HTTP, counts the spans, and tells the benchmark. Prints its address in its ready line.

import { createServer } from "node:http";
import process from "node:process";
import { text } from "node:stream/consumers";
import { askedToStop } from "../support/process.ts";

interface Traces {
  readonly resourceSpans?: readonly { readonly scopeSpans?: readonly { readonly spans?: readonly unknown[] }[] }[];
}

const server = createServer((request, response) => {
  void text(request).then((body) => {
    process.send?.({ spans: spansIn(body) });
    response.setHeader("content-type", "application/json").end("{}");
  });
});
const stop = askedToStop();
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  process.stdout.write(`${JSON.stringify({ msg: "ready", url: `http://127.0.0.1:${port}` })}\n`);
});
await stop;
process.exit(0);

function spansIn(body: string): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- OTLP's own encoding, written by its SDK
  const { resourceSpans = [] } = JSON.parse(body) as Traces;
  return resourceSpans
    .flatMap(({ scopeSpans = [] }) => scopeSpans)
    .reduce((sum, { spans = [] }) => sum + spans.length, 0);
}
