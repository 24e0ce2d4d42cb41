// `npm run bench:temporal`: builds what Temporal is measured with, so that no benchmark has to wait for it.

import process from "node:process";
import { runTool, toolCommand } from "../../../tests/support/tool.ts";
import { buildTemporal } from "./binaries.ts";

await runTool("bench:temporal", async (args) => {
  toolCommand("bench:temporal")
    .description("Builds Temporal's dev server and a worker for npm run bench.")
    .parse(args, { from: "user" });
  process.stderr.write("building Temporal's dev server: this takes some minutes\n");
  const { server } = await buildTemporal();
  process.stdout.write(`${server}\n`);
  return 0;
});
