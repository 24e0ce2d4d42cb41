// `mycel doctor`: goes through what a mesh needs, says what is there and what to do about the rest.
import { Command } from "commander";
import { resolvedAccessOf } from "../access.ts";
import { type CliContext, examples, openClient, printerOf, urlsOf } from "../context.ts";
import { checkClock, checkHealth, checkReflection, printCoordinatorCalls } from "../doctor/coordinator.ts";
import { type Check, type Finding, runChecks } from "../doctor/check.ts";
import { checkAgents, checkEcho, checkInference, runEcho } from "../doctor/fleet.ts";
import { Failed } from "../failure.ts";
import { jsonDocument } from "../output/json.ts";
import { cut, harmless } from "../output/terminal.ts";

// Where the texts begin: after the mark and the name.
const INDENT = 15;

/** The command. */
export function doctorCommand(context: CliContext): Command {
  return new Command("doctor")
    .summary("check that everything is in order")
    .description(
      "Check this machine, the coordinators and the agents, with advice for what is not in order. Exits with 1 if something is broken.",
    )
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel doctor", "mycel doctor --url https://mesh.example.com"))
    .action(async (flags: { readonly json?: boolean }, command: Command) => {
      const urls = urlsOf(command);
      await using client = openClient(command, {
        timeoutMs: 5_000,
        retry: { attempts: Math.max(1, urls.length) },
        connectTimeoutMs: 3_000,
      });
      const printer = printerOf(command);
      if (printer !== undefined) {
        await printCoordinatorCalls(printer, urls);
        await checkAgents(client);
        await runEcho(client, context.interrupted).submitted;
        return;
      }
      const access = resolvedAccessOf(command, urls);
      // With what speaks NATS, for which the other commands need not wait.
      const { checkNats, checkNode } = await import("../doctor/machine.ts");
      const checks: Check[] = [
        { name: "node", run: checkNode },
        { name: "nats", run: () => checkNats(context.env) },
        ...urls.map((url) => ({
          name: urls.length === 1 ? "coordinator" : `coordinator ${url}`,
          run: () => checkHealth(url, access),
        })),
        ...urls.slice(0, 1).flatMap((url): Check[] => [
          { name: "reflection", needs: "coordinator", run: () => checkReflection(url, access) },
          { name: "clock", needs: "coordinator", run: () => checkClock(url, access) },
        ]),
        { name: "agents", needs: "coordinator", run: () => checkAgents(client) },
        { name: "inference", needs: "coordinator", run: () => checkInference(client) },
        { name: "round trip", needs: "coordinator", run: () => checkEcho(client, context.interrupted) },
      ];
      const findings: Finding[] = [];
      for await (const finding of runChecks(checks)) {
        context.interrupted.throwIfAborted();
        findings.push(finding);
        if (flags.json !== true) await print(context, finding);
      }
      const broken = findings.filter(({ state }) => state === "broken").length;
      if (flags.json === true) await context.out.line(jsonDocument({ ok: broken === 0, checks: findings }));
      if (broken > 0) throw new Failed();
    });
}

async function print({ out }: CliContext, { name, state, text, advice }: Finding): Promise<void> {
  const { green, red, yellow, dim } = out.colors;
  const mark = { ok: green("✓"), broken: red("✗"), skipped: yellow("–") }[state];
  await out.line(`${mark} ${name.padEnd(11)}  ${cut(harmless(text), out.columns - INDENT)}`);
  if (advice !== undefined) await out.line(`${" ".repeat(INDENT)}${dim(harmless(advice))}`);
}
