// The `mycel` command's process: the only place that reads its arguments, environment and streams, and that ends it. Only `up`,
// which runs services, sees to its own signals.
import { readFile } from "node:fs/promises";
import type { CliContext } from "./context.ts";
import { EXIT, endingOf } from "./failure.ts";
import { createTerminal, harmless } from "./output/terminal.ts";
import { runProgram } from "./program.ts";

const noColor = process.env["NO_COLOR"] !== undefined && process.env["NO_COLOR"] !== "";
const interruption = new AbortController();
const context: CliContext = {
  out: createTerminal(process.stdout, noColor),
  err: createTerminal(process.stderr, noColor),
  stdin: process.stdin,
  screen() {
    // Anything else makes React keep measurements of every frame, without end.
    process.env["NODE_ENV"] = "production";
    return { input: process.stdin, output: process.stdout };
  },
  env: process.env,
  interrupted: interruption.signal,
};

// A reader that has seen enough (`| head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed));
}
process.exitCode = await main();

async function main(): Promise<number> {
  // The command that runs services stops them itself.
  if (process.argv[2] !== "up") stopOnInterrupt();
  try {
    const args = process.argv.slice(2);
    await runProgram(context, await packageVersion(), args.length === 0 ? ["--help"] : args);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (interruption.signal.aborted) return EXIT.interrupted;
    const { exitCode, line } = endingOf(error);
    if (line !== undefined)
      await context.err.line(`${context.err.colors.red("mycel:")} ${line.includes("\n") ? line : harmless(line)}`);
    return exitCode;
  }
}

function stopOnInterrupt(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // The second one does not wait for anything.
    process.once(signal, () => {
      interruption.abort();
      process.once(signal, () => process.exit(EXIT.interrupted));
    });
  }
}

async function packageVersion(): Promise<string> {
  const json: unknown = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  return typeof json === "object" && json !== null && "version" in json ? String(json.version) : "unknown";
}
