// `mycel audit`: who did what in the mesh, and whether the log of that is whole.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Command } from "commander";
import { type AuditEntry, AuditDecision, AuditEntrySchema } from "../../gen/mycel/v1/audit_pb.ts";
import type { AuditFilterSchema } from "../../gen/mycel/v1/audit_service_pb.ts";
import { auditEntryIn } from "../../lib/wire/audit-codec.ts";
import { type AuditFault, AuditVerifier, type AuditCheckpoint } from "../../lib/wire/audit-verifier.ts";
import { timestampFromMs } from "../../lib/wire/time-codec.ts";
import { type MycelClient, MycelError } from "../../sdk/client/index.ts";
import { type Checkpoints, readCheckpoints, writeCheckpoints } from "../audit/checkpoint-file.ts";
import { followAudit, newestAudit, wholeAudit } from "../audit/entries.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { Failed, UsageError } from "../failure.ts";
import { durationOption, repeatedOption, wholeNumberOption } from "../option-values.ts";
import { auditLine } from "../output/audit-line.ts";
import { jsonDocument, jsonLine, jsonOf } from "../output/json.ts";
import { harmless } from "../output/terminal.ts";

/** The command. */
export function auditCommand(context: CliContext): Command {
  const command = new Command("audit")
    .summary("who did what, and whether the log of it is whole")
    .helpCommand("help [command]", "print help for a command")
    .description("Read the audit log: what was changed by whom, what was refused, and what happened to credentials.")
    .addHelpText(
      "after",
      examples(
        "mycel audit tail --follow",
        "mycel audit tail --refused --since 1d --json",
        "mycel audit verify --checkpoint audit.checkpoint",
      ),
    );
  command.addCommand(tailSub(context));
  command.addCommand(verifySub(context));
  return command;
}

interface TailFlags {
  readonly lines: number;
  readonly follow?: boolean;
  readonly since?: number;
  readonly principal?: readonly string[];
  readonly action?: readonly string[];
  readonly type?: string;
  readonly name?: string;
  readonly refused?: boolean;
  readonly allowed?: boolean;
  readonly mesh?: boolean;
  readonly json?: boolean;
}

function tailSub(context: CliContext): Command {
  return new Command("tail")
    .summary("the newest entries, and those to come")
    .description("Print the newest entries, the oldest of them first; with --follow also those to come, until Ctrl-C.")
    .option("-n, --lines <n>", "how many at most", wholeNumberOption(0, 1_000), 20)
    .option("-f, --follow", "print what comes, too")
    .option("--since <duration>", "only what happened so long ago at most, e.g. 1h", durationOption)
    .option("--principal <who>", "only what these did, e.g. token:ann or key:*; repeatable", repeatedOption)
    .option("--action <action>", "only what needs these, e.g. queue:admin or key:*; repeatable", repeatedOption)
    .option("--type <type>", "only what was done to resources of this kind, e.g. mycel.v1.Queue")
    .option("--name <name>", "only what was done to resources of this name")
    .option("--refused", "only what was refused")
    .option("--allowed", "only what was allowed")
    .option("--mesh", "what belongs to no tenant: calls of strangers, starts and stops of coordinators")
    .option("--json", "print one JSON object a line")
    .action(async (flags: TailFlags, command: Command) => {
      const asked = { filter: filterOf(flags), newest: flags.lines, mesh: flags.mesh === true };
      await using client = openClient(command);
      const print = async (entry: AuditEntry): Promise<void> => {
        const { out } = context;
        await out.line(flags.json === true ? jsonLine(jsonOf(AuditEntrySchema, entry)) : auditLine(out, entry));
      };
      if (flags.follow === true) {
        for await (const entry of followAudit(client, asked, context.interrupted)) await print(entry);
      } else if (flags.lines > 0) {
        for (const entry of await newestAudit(client, asked, context.interrupted)) await print(entry);
      }
    });
}

function filterOf(flags: TailFlags): MessageInitShape<typeof AuditFilterSchema> {
  if (flags.refused === true && flags.allowed === true) throw new UsageError("use --refused or --allowed, not both");
  const decision = flags.refused === true ? AuditDecision.REFUSED : AuditDecision.ALLOWED;
  return {
    principals: [...(flags.principal ?? [])],
    actions: [...(flags.action ?? [])],
    resourceType: flags.type ?? "",
    resourceName: flags.name ?? "",
    ...(flags.refused === true || flags.allowed === true ? { decision } : {}),
    ...(flags.since === undefined ? {} : { startTime: timestampFromMs(Date.now() - flags.since) }),
  };
}

/** What a check of one log came to. */
interface Checked {
  readonly log: "tenant" | "mesh";
  readonly entries: number;
  readonly chains: number;
  readonly faults: readonly AuditFault[];
  readonly checkpoint: AuditCheckpoint;
}

function verifySub(context: CliContext): Command {
  return new Command("verify")
    .summary("check that nothing was altered, taken out or moved")
    .description(
      "Read the whole audit log of your tenant, and what belongs to no tenant if you may see that, and check every chain. Prints what is " +
        "wrong and where; exits with 1 if anything is. What was cut off at the very end is noticed with --checkpoint alone.",
    )
    .option("--checkpoint <file>", "compare with what was seen at the last check, and keep what is seen now")
    .option("--json", "print JSON")
    .action(async (flags: { readonly checkpoint?: string; readonly json?: boolean }, command: Command) => {
      await using client = openClient(command);
      const before = flags.checkpoint === undefined ? {} : await readCheckpoints(flags.checkpoint);
      const tenant = await check(client, "tenant", before.tenant, context.interrupted);
      const mesh = await check(client, "mesh", before.mesh, context.interrupted).catch((error: unknown) => {
        if (error instanceof MycelError && error.code === "permission_denied") return undefined;
        throw error;
      });
      const checked = mesh === undefined ? [tenant] : [tenant, mesh];
      const faults = checked.reduce((sum, each) => sum + each.faults.length, 0);
      if (flags.json === true) {
        const logs = checked.map(({ log, entries, chains, faults }) => ({ log, entries, chains, faults }));
        await context.out.line(jsonDocument({ whole: faults === 0, logs }));
      } else await printChecked(context, checked);
      if (faults > 0)
        throw new Failed(faults === 1 ? "the audit log is not whole" : `the audit log is not whole: ${faults} faults`);
      if (flags.checkpoint === undefined) return;
      const seen: Checkpoints = { ...before, tenant: tenant.checkpoint };
      await writeCheckpoints(flags.checkpoint, mesh === undefined ? seen : { ...seen, mesh: mesh.checkpoint });
    });
}

async function check(
  client: MycelClient,
  log: Checked["log"],
  before: AuditCheckpoint | undefined,
  signal: AbortSignal,
): Promise<Checked> {
  let verifier: AuditVerifier | undefined;
  let keptFromMs = -Infinity;
  for await (const page of wholeAudit(client, log === "mesh", signal)) {
    keptFromMs = page.keptFromMs;
    const [first] = page.entries;
    if (verifier === undefined && first === undefined) continue;
    verifier ??= new AuditVerifier(tenantOf(first, before), keptFromMs, before);
    verifier.keptFrom(keptFromMs);
    for (const entry of page.entries) verifier.add(auditEntryIn(entry));
  }
  verifier ??= new AuditVerifier(before?.tenant ?? "", keptFromMs, before);
  const faults = verifier.finish();
  return { log, entries: verifier.entries, chains: verifier.chains, faults, checkpoint: verifier.checkpoint() };
}

function tenantOf(first: AuditEntry | undefined, before: AuditCheckpoint | undefined): string {
  const tenant = first?.tenant ?? "";
  if (before === undefined || before.tenant === tenant || before.chains.length === 0) return tenant;
  throw new UsageError(`the checkpoint is of the tenant ${harmless(before.tenant)}, not of ${harmless(tenant)}`);
}

async function printChecked({ out }: CliContext, checked: readonly Checked[]): Promise<void> {
  for (const { log, entries, chains, faults, checkpoint } of checked) {
    const name = log === "mesh" ? "what belongs to no tenant" : `tenant ${checkpoint.tenant}`;
    for (const { kind, writer, number, description } of faults) {
      await out.line(`${out.colors.red(kind)}  ${harmless(`${writer} number ${number} ${description}`)}`);
    }
    const counts = `${entries} ${entries === 1 ? "entry" : "entries"} in ${chains} ${chains === 1 ? "chain" : "chains"}`;
    const word = faults.length === 0 ? out.colors.green("whole") : out.colors.red("not whole");
    await out.line(`${harmless(name)}: ${counts}, ${word}`);
  }
}
