import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { candidatesFor, type NameThings } from "../../../cli/completion/candidates.ts";
import { createTerminal } from "../../../cli/output/terminal.ts";
import { createProgram } from "../../../cli/program.ts";

const terminal = createTerminal(new PassThrough(), true);
const PROGRAM = createProgram(
  { out: terminal, err: terminal, stdin: new PassThrough(), env: {}, interrupted: new AbortController().signal },
  "1.2.3",
);

const nameThings: NameThings = async (kind, url) => [{ value: `${kind}-1@${url ?? "default"}`, description: "" }];

/** What is offered for the last of the words of a line. */
async function offered(...words: string[]): Promise<string[]> {
  return (await candidatesFor(PROGRAM, words, nameThings)).map(({ value }) => value);
}

test("every command that is shown in the help is offered first, with what it is for", async () => {
  const all = await candidatesFor(PROGRAM, [""], nameThings);
  expect(all.map(({ value }) => value)).toEqual([
    ...PROGRAM.commands.map((command) => command.name()).filter((name) => name !== "complete"),
    "help",
  ]);
  expect(all.filter(({ description }) => description === "")).toEqual([]);
});

test.for<[string[], string[]]>([
  [["ca"], ["cancel", "capabilities"]],
  [["comple"], ["completion"]],
  [
    ["queue", "p"],
    ["pause", "purge"],
  ],
  [["help", "st"], ["status"]],
  [["submit", "--pri"], ["--priority"]],
  [["submit", "--gr"], ["--grpcurl"]],
  [["--ver"], ["--version"]],
  [["submit", "--ver"], []],
  [["submit", "--priority", "h"], ["high"]],
  [["submit", "--priority=h"], ["--priority=high"]],
  [["submit", "--priority", "=", "h"], ["high"]],
  [
    ["submit", "--priority", "="],
    ["low", "normal", "high", "critical"],
  ],
  [["watch", "--kinds", "st"], ["state"]],
  [["list", "--state", "failed,co"], ["failed,completed"]],
  [["list", "--state", "failed,fa"], []],
  [["list", "--state=failed,ti"], ["--state=failed,timed_out"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["submit", "t"], ["type-1@default"]],
  [["submit", "echo", ""], []],
  [["status", ""], ["task-1@default"]],
  [["--json", "status", ""], ["task-1@default"]],
  [["status", "t-1", ""], []],
  [["cancel", ""], ["open-task-1@default"]],
  [["cancel", "--reason", "why", ""], ["open-task-1@default"]],
  [["cancel", "--", ""], ["open-task-1@default"]],
  [["retry", ""], ["dead-letter-1@default"]],
  [["list", "--agent", ""], ["agent-1@default"]],
  [["list", "--agent=", ""], []],
  [["tail", "--queue="], ["--queue=queue-1@default"]],
  [["queue", "show", ""], ["queue-1@default"]],
  [["--url", "http://a", "get", ""], ["task-1@http://a"]],
  [["get", "--url=http://b", ""], ["task-1@http://b"]],
  [["get", "--url", "=", "http://b", ""], ["task-1@http://b"]],
  [["blob", "put", ""], []],
  [["frob", ""], []],
  [["submit", "--frob=x"], []],
])("after %j, %j is offered", async ([words, wanted]) => {
  expect(await offered(...words)).toEqual(wanted);
});
