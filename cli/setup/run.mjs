// Runs one of the project's tools as `npm test` needs it: packages and nats-server installed, under Node 24.
// Usage: node cli/setup/run.mjs TOOL [ARGUMENT…]   TOOL is a name from node_modules/.bin, or `node`.
import { execFile } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";

import { launch } from "./launch.mjs";
import { prepare, reportFailure } from "./prepare.mjs";
import { projectRoot, SetupError } from "./project.mjs";

const bin = join(projectRoot, "node_modules", ".bin");

try {
  const [tool, ...args] = process.argv.slice(2);
  if (tool === undefined) throw new SetupError("usage: node cli/setup/run.mjs TOOL [ARGUMENT…]");
  const { node } = await prepare({ development: true });
  const natsServer = await ensureNatsServer(node);
  const env = { ...process.env, NATS_SERVER_BIN: natsServer, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
  const [command, ...first] = commandOf(tool, node);
  await launch(command, [...first, ...args], env);
} catch (error) {
  reportFailure(error);
}

/** @param {string} tool @param {string} node @returns {string[]} */
function commandOf(tool, node) {
  if (tool === "node") return [node];
  const file = join(bin, tool);
  if (!existsSync(file)) throw new SetupError(`there is no tool ${tool} in node_modules/.bin`);
  const script = realpathSync(file);
  return /^#!.*\bnode\b/.test(readFileSync(script, "utf8").slice(0, 100)) ? [node, script] : [file];
}

/** @param {string} node @returns {Promise<string>} */
async function ensureNatsServer(node) {
  const script = join(projectRoot, "cli", "setup", "ensure-nats-server.ts");
  return await new Promise((resolve, reject) => {
    const child = execFile(node, [script], (error, stdout) => {
      if (error === null) resolve(stdout.trim());
      else reject(new SetupError("nothing was run, because there is no nats-server."));
    });
    child.stderr?.pipe(process.stderr);
  });
}
