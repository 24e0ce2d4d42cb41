// `mycel top`: the mesh live, on the whole terminal. What draws is only loaded when it is wanted: other commands need not wait for it.
import { Command } from "commander";
import { shownSecurityOf } from "../access.ts";
import { type CliContext, examples, openClient, printerOf, type Screen, urlsOf } from "../context.ts";
import { Failed, UsageError } from "../failure.ts";
import { durationOption, numberOption, repeatedOption } from "../option-values.ts";
import type { CallPrinter } from "../grpcurl/call-printer.ts";
import { jsonDocument } from "../output/json.ts";
import { callsOf, type CallTarget } from "../top/state/calls.ts";
import { START } from "../top/state/model.ts";

const REFRESH_S = 2;
const WINDOW_MS = 300_000;
const MIN_WINDOW_MS = 10_000;
const MAX_WINDOW_MS = 86_400_000;
const MAX_CALL_MS = 5_000;
// What --once draws on when there is no terminal to fit.
const PAPER = { columns: 120, rows: 50 };

interface TopFlags {
  readonly refresh: number;
  readonly window: number;
  readonly type?: readonly string[];
  readonly once?: boolean;
  readonly json?: boolean;
}

/** The command. */
export function topCommand(context: CliContext): Command {
  return new Command("top")
    .summary("the mesh live: agents, queues, durations, failures")
    .description(
      "Show the mesh on the whole terminal, live: coordinators, rates, agents, queues, durations, failures. Press ? for the keys; Enter " +
        "opens what is chosen, down to a task's timeline and what it streams. With --once, print one look and exit; exits with 1 if no " +
        "coordinator serves.",
    )
    .option("--refresh <seconds>", "the time between two looks", numberOption(0.5, 60), REFRESH_S)
    .option("--window <duration>", "how far back durations and success reach", durationOption, WINDOW_MS)
    .option("--type <type>", "only tasks of this type; may be repeated", repeatedOption)
    .option("--once", "print one look and exit")
    .option("--json", "with --once: print JSON")
    .addHelpText(
      "after",
      examples("mycel top", "mycel top --refresh 0.5 --type echo", "mycel top --once --json | jq .queues"),
    )
    .action(async (flags: TopFlags, command: Command) => {
      const { window: windowMs } = flags;
      if (windowMs < MIN_WINDOW_MS || windowMs > MAX_WINDOW_MS) throw new UsageError("--window must be from 10s to 1d");
      if (flags.json === true && flags.once !== true) throw new UsageError("--json needs --once");
      const printer = printerOf(command);
      if (printer !== undefined) return await printCalls(printer, urlsOf(command), flags);
      const attempts = Math.max(1, urlsOf(command).length);
      await using client = openClient(command, { timeoutMs: MAX_CALL_MS, retry: { attempts } });
      if (flags.once === true) return await once(context, client, flags);
      const [url = ""] = urlsOf(command);
      await live(context, client, flags, { url, ...shownSecurityOf(command) });
    });
}

type Client = ReturnType<typeof openClient>;

async function printCalls(printer: CallPrinter, [url = ""]: readonly string[], flags: TopFlags): Promise<void> {
  const model = { ...START, types: flags.type ?? [] };
  for (const { method, request } of callsOf(model, flags.window)) await printer.print(url, method, [request]);
}

async function once(context: CliContext, client: Client, flags: TopFlags): Promise<void> {
  const { out, interrupted: signal } = context;
  const output = context.screen?.().output;
  const { jsonOfSnapshot, lookOnce, textOf } = await import("../top/once.ts");
  const options = { client, types: flags.type ?? [], refreshMs: flags.refresh * 1000, windowMs: flags.window, signal };
  const snapshot = await lookOnce(options);
  const size = output?.isTTY === true ? { columns: output.columns, rows: output.rows } : PAPER;
  await out.line(flags.json === true ? jsonDocument(jsonOfSnapshot(snapshot)) : textOf(snapshot, size, options));
  if (snapshot.lostSinceMs !== undefined) throw new Failed("no coordinator serves");
}

async function live(
  { screen, out, interrupted }: CliContext,
  client: Client,
  flags: TopFlags,
  target: CallTarget,
): Promise<void> {
  const { input, output }: Partial<Screen> = screen?.() ?? {};
  if (input?.isTTY !== true || output?.isTTY !== true)
    throw new UsageError("top needs a terminal; elsewhere, print one look with --once");
  const { runDashboard } = await import("../top/dashboard.ts");
  await runDashboard({
    client,
    input,
    output,
    colours: out.colors.isColorSupported,
    refreshMs: flags.refresh * 1000,
    windowMs: flags.window,
    types: flags.type ?? [],
    target,
    interrupted,
  });
}
