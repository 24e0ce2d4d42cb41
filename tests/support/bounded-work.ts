// The process of bounded-processes.test.ts: does what a request says, for better or worse.
import process from "node:process";
import { serveWork } from "../../services/worker/bounded-processes/process-work.ts";

/** What a request asks for; the answer to `pid` and `environment` is what it says. */
export type BoundedRequest = { readonly kind: "pid" | "environment" | "loop" | "heap" | "buffers" | "exit" };

serveWork(({ kind }: BoundedRequest): unknown => {
  const held: unknown[] = [];
  switch (kind) {
    case "loop":
      for (;;);
    case "heap":
      for (;;) held.push(Array.from({ length: 10_000 }, () => Math.random()));
    case "buffers":
      // Outside of V8's heap, as the memory of native code is.
      for (;;) held.push(Buffer.alloc(1024 * 1024, 1));
    case "exit":
      process.exit(3);
    case "environment":
      return Object.keys(process.env);
    case "pid":
      return process.pid;
  }
});
