// `mycel certs`: an authority of one's own, and the certificates of a mesh. For development and for meshes that have no other authority.
// What makes certificates takes a moment to load: only for whom it concerns.
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { certificatesIn, type CertificateFacts, factsOf } from "../../lib/tls/certificate-facts.ts";
import type { StoredCertificate } from "../../lib/tls/certificate-folder.ts";
import { type CliContext, examples, printerOf } from "../context.ts";
import { UsageError } from "../failure.ts";
import { repeatedOption, wholeNumberOption } from "../option-values.ts";
import { jsonDocument } from "../output/json.ts";
import { renderFacts } from "../output/table.ts";
import { harmless } from "../output/terminal.ts";

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3_650;
const DAYS = 365;
const LIST_DAYS = 30;
const MAX_DAYS = 36_500;
const FOLDER = "the folder of the authority";

const daysOption = wholeNumberOption(1, MAX_DAYS);

/** The command, with one below it for each thing to do. */
export function certsCommand(context: CliContext): Command {
  return new Command("certs")
    .summary("a development CA and its certificates")
    .description(
      "Make a certificate authority of your own, and certificates of it for coordinators, NATS servers, agents and clients. Keys are written for their owner alone; whoever has ca.key can be anybody.",
    )
    .helpCommand("help [command]", "print help for a command")
    .hook("preAction", (_, command) => {
      if (printerOf(command) !== undefined) throw new UsageError("this command makes no call that could be printed");
    })
    .addHelpText(
      "after",
      examples(
        "mycel certs init pki",
        "mycel certs issue pki --name coordinator --host localhost --host 127.0.0.1 --both",
        "mycel certs issue pki --name agent --client --spiffe spiffe://mesh/agent/one",
        "mycel certs show pki/coordinator.crt",
      ),
    )
    .addCommand(initCommand(context))
    .addCommand(issueCommand(context))
    .addCommand(renewCommand(context))
    .addCommand(revokeCommand(context))
    .addCommand(showCommand(context));
}

function initCommand(context: CliContext): Command {
  return new Command("init")
    .summary("make an authority")
    .description("Make an authority in a folder: ca.crt, which everybody may have, and ca.key, which nobody else may.")
    .argument("<dir>", FOLDER)
    .option("--name <name>", "its name", checkedName, "Mycel development CA")
    .option("--days <n>", "how long it is good", daysOption, AUTHORITY_DAYS)
    .addHelpText("after", examples("mycel certs init pki"))
    .action(async (dir: string, { name, days }: { name: string; days: number }) => {
      const { initFolder } = await import("../../lib/tls/certificate-folder.ts");
      const made = await asked(() => initFolder(dir, name, days));
      await tell(context, made);
    });
}

function issueCommand(context: CliContext): Command {
  return new Command("issue")
    .summary("issue a certificate")
    .description("Issue a certificate into <name>.crt, and its key into <name>.key. Never over files that are there.")
    .argument("<dir>", FOLDER)
    .requiredOption("--name <name>", "the name of the files and of the certificate's subject")
    .option("--host <host>", "a host name or IP address of a server; can be repeated", hostOption, [])
    .option(
      "--spiffe <uri>",
      "a URI that says whose it is, e.g. spiffe://mesh/agent/one; can be repeated",
      uriOption,
      [],
    )
    .option("--server", "for a server alone")
    .option("--client", "for a client alone")
    .option("--both", "for a server that is a client, too, such as a coordinator (default with hosts)")
    .option("--days <n>", "how long it is good", daysOption, DAYS)
    .addHelpText(
      "after",
      examples(
        "mycel certs issue pki --name nats-1 --host nats-1.example.org",
        "mycel certs issue pki --name ci --client",
      ),
    )
    .action(async (dir: string, flags: IssueFlags) => {
      const { name, host: hosts, spiffe: uris, days } = flags;
      const use = useOf(flags);
      if (use !== "client" && hosts.length === 0) {
        throw new UsageError("a server's certificate needs the hosts by which it is reached: name each with --host");
      }
      const { issueInto } = await import("../../lib/tls/certificate-folder.ts");
      await tell(context, await asked(() => issueInto(dir, { name, hosts, uris, use, days })));
    });
}

function renewCommand(context: CliContext): Command {
  return new Command("renew")
    .summary("issue certificates anew")
    .description(
      "Issue a certificate of the folder anew, or all of them: with the same names for the same use, and with the same key, so that pins stay good. Running coordinators take it over by themselves, agents and clients as they connect anew.",
    )
    .argument("<dir>", FOLDER)
    .option("--name <name>", "only this one")
    .option("--days <n>", "how long the new ones are good (as long as the old ones were)", daysOption)
    .option("--new-key", "make new keys, too: pins of the old ones are no good any more")
    .addHelpText("after", examples("mycel certs renew pki", "mycel certs renew pki --name coordinator --new-key"))
    .action(async (dir: string, { name, days, newKey }: { name?: string; days?: number; newKey?: boolean }) => {
      const { namesIn, renewIn } = await import("../../lib/tls/certificate-folder.ts");
      await asked(async () => {
        const names = name === undefined ? await namesIn(dir) : [name];
        if (names.length === 0) throw new UsageError(`there are no certificates in ${dir}`);
        for (const each of names) await tell(context, await renewIn(dir, each, { days, newKey: newKey === true }));
      });
    });
}

function revokeCommand(context: CliContext): Command {
  return new Command("revoke")
    .summary("take a certificate back")
    .description(
      "Write ca.crl, the list of the certificates that were taken back, with one more. Coordinators that know the list (MYCEL_TLS_CRL_FILE) refuse it within seconds, and nobody gets in once the list is over: write it anew before that.",
    )
    .argument("<dir>", FOLDER)
    .requiredOption("--name <name>", "which")
    .option("--days <n>", "how long the list is good", daysOption, LIST_DAYS)
    .addHelpText("after", examples("mycel certs revoke pki --name agent"))
    .action(async (dir: string, { name, days }: { name: string; days: number }) => {
      const { revokeIn } = await import("../../lib/tls/certificate-folder.ts");
      await context.out.line(await asked(() => revokeIn(dir, name, days)));
    });
}

function showCommand(context: CliContext): Command {
  return new Command("show")
    .summary("what a certificate says")
    .description("Show the certificates in a PEM file: names, dates, and the pin of the public key.")
    .argument("<file>", "a PEM file")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel certs show pki/coordinator.crt"))
    .action(async (file: string, { json }: { json?: boolean }) => {
      const shown = await factsIn(file);
      if (json === true) return await context.out.line(jsonDocument({ certificates: shown.map(asJson) }));
      for (const [index, each] of shown.entries()) {
        if (index > 0) await context.out.line();
        await context.out.line(renderFacts(context.out, factLines(each)));
      }
    });
}

interface IssueFlags {
  readonly name: string;
  readonly host: readonly string[];
  readonly spiffe: readonly string[];
  readonly server?: boolean;
  readonly client?: boolean;
  readonly both?: boolean;
  readonly days: number;
}

function useOf({ server, client, both, host }: IssueFlags): "server" | "client" | "both" {
  const given = [server, client, both].filter((flag) => flag === true).length;
  if (given > 1) throw new UsageError("--server, --client and --both exclude each other");
  if (server === true) return "server";
  if (client === true) return "client";
  return both === true || host.length > 0 ? "both" : "client";
}

/** What can't be done says so in one line. */
async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isMistake(error) ? new UsageError(error.message) : error;
  }
}

/** A wrong name, or a folder that is not there, not empty or not ours. */
function isMistake(error: unknown): error is Error {
  return error instanceof RangeError || (error instanceof Error && "code" in error && typeof error.code === "string");
}

async function tell({ out }: CliContext, { certFile, keyFile, certificate }: StoredCertificate): Promise<void> {
  const { expiresMs, pin } = factsOf(certificate);
  await out.line(`${certFile}  ${keyFile}  until ${new Date(expiresMs).toISOString()}  pin ${pin}`);
}

async function factsIn(file: string): Promise<CertificateFacts[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError(`${file} can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const found = certificatesIn(text).map(factsOf);
  if (found.length === 0) throw new UsageError(`${join(file)} holds no certificate`);
  return found;
}

function factLines(facts: CertificateFacts): [string, string][] {
  const leftDays = Math.floor((facts.expiresMs - Date.now()) / DAY_MS);
  const left = leftDays < 0 ? "over" : `${leftDays} day${leftDays === 1 ? "" : "s"} left`;
  return [
    ["subject", harmless(facts.commonName)],
    ["hosts", harmless(facts.hosts.join(", "))],
    ["URIs", harmless(facts.uris.join(", "))],
    ["from", new Date(facts.beginsMs).toISOString()],
    ["until", `${new Date(facts.expiresMs).toISOString()} (${left})`],
    ["fingerprint", facts.fingerprint],
    ["pin", facts.pin],
  ];
}

function asJson({ beginsMs, expiresMs, ...rest }: CertificateFacts): object {
  return { ...rest, begins: new Date(beginsMs).toISOString(), expires: new Date(expiresMs).toISOString() };
}

function checkedName(text: string): string {
  if (text.length < 1 || text.length > 64) throw new InvalidArgumentError("Write 1 to 64 characters.");
  return text;
}

function hostOption(text: string, before: readonly string[]): readonly string[] {
  const labels = text.replace(/^\*\./, "").split(".");
  const isName = text.length <= 253 && labels.every((label) => /^(?!-)[A-Za-z\d-]{1,63}(?<!-)$/.test(label));
  if (isIP(text) === 0 && !isName) throw new InvalidArgumentError("Write a host name, *.name or an IP address.");
  return repeatedOption(text, before);
}

function uriOption(text: string, before: readonly string[]): readonly string[] {
  // oxlint-disable-next-line no-control-regex -- a certificate can hold ASCII only
  if (!URL.canParse(text) || !/^[\u0021-\u007e]+$/.test(text)) {
    throw new InvalidArgumentError("Write a URI like spiffe://mesh/agent/one.");
  }
  return repeatedOption(text, before);
}
