// The README names every command.
import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { createTerminal } from "../../../cli/output/terminal.ts";
import { createProgram } from "../../../cli/program.ts";

test("the README's table names every command that the help shows", () => {
  const terminal = createTerminal(new PassThrough(), true);
  const context = { out: terminal, err: terminal, stdin: new PassThrough(), env: {} };
  const program = createProgram({ ...context, interrupted: new AbortController().signal }, "1.2.3");
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const shown = program
    .createHelp()
    .visibleCommands(program)
    .map((command) => command.name());
  expect(
    shown.filter((name) => name !== "help" && !new RegExp(`^\\|.*\`mycel ${name}[ \`]`, "m").test(readme)),
  ).toEqual([]);
});
