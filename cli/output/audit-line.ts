// An entry of the audit log on one line: when, whether it was allowed, who, what, on what, from where.
import { type AuditEntry, AuditDecision } from "../../gen/mycel/v1/audit_pb.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { cut, harmless, type Terminal } from "./terminal.ts";

const GAP = "  ";
const WORD_WIDTH = "refused".length;

/** Makes the line of an entry. */
export function auditLine(terminal: Terminal, entry: AuditEntry): string {
  const time = new Date(msFromTimestamp(entry.time) ?? 0).toISOString();
  const refused = entry.decision === AuditDecision.REFUSED;
  const word = (refused ? "refused" : "allowed").padEnd(WORD_WIDTH);
  const rest = harmless(
    [
      entry.principal || "-",
      entry.method.replace(/^mycel\.v1\./, ""),
      [entry.resourceType.replace(/^mycel\.v1\./, ""), entry.resourceName].filter((text) => text !== "").join(" "),
      entry.reason,
      entry.count > 1n ? `${entry.count} times` : "",
      entry.peerAddress === "" ? "" : `from ${entry.peerAddress}`,
    ]
      .filter((text) => text !== "")
      .join(GAP),
  );
  const room = terminal.columns - time.length - WORD_WIDTH - 2 * GAP.length;
  const painted = refused ? terminal.colors.red(word) : terminal.colors.green(word);
  return `${terminal.colors.dim(time)}${GAP}${painted}${GAP}${cut(rest, room)}`.trimEnd();
}
