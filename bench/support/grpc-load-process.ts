// The load generator as a process: does what it is asked over the channel to its starter, one run after the other.

import process from "node:process";
import { callMany } from "./grpc-caller.ts";
import type { LoadRequest, LoadResult } from "./grpc-load.ts";
import { askedToStop, sayReady } from "./process.ts";

async function resultOf({ url, path, message, calls, concurrency }: LoadRequest): Promise<LoadResult> {
  try {
    const call = { url, path, message: Buffer.from(message, "base64") };
    return { tookMs: await callMany(call, { calls, concurrency }) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

process.on("message", (message: string) => {
  void resultOf(JSON.parse(message) as LoadRequest).then((result) => process.send?.(result));
});
const stop = askedToStop();
sayReady();
await stop;
process.exit(0);
