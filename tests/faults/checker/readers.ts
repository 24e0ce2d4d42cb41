// Invariant 4: every reader, over all its connections, gets everything that stands about its task, once and in order, from the place where
// it began; and what stands there is complete. A reader that got what its attempt's fence forbids breaks invariant 3.
import type { LoggedTask } from "../final-log.ts";
import type { Read } from "../history.ts";
import type { Evidence } from "./evidence.ts";
import { acceptedRun } from "./executions.ts";
import { orderResults, type Result, type ResultOrder } from "./result-order.ts";
import type { Exhibit, Finding } from "./violation.ts";

/** Judges the readers of one task. */
export function checkReaders(evidence: Evidence): Finding[] {
  const { logged, readers } = evidence;
  if (logged === undefined) return [];
  const order = orderResults(logged);
  const seen = new Map<number, Read>();
  const found = [...incomplete(evidence, logged, order)];
  for (const reads of readers.values()) found.push(...checkReader(evidence.taskId, reads, order, seen));
  return found;
}

/** Whether the chunks of the accepted result, and those of every attempt that readers were given, are all there. */
function incomplete(evidence: Evidence, logged: LoggedTask, { endings }: ResultOrder): Finding[] {
  const found: Finding[] = [];
  const accepted = acceptedRun(evidence, logged);
  for (const [event, { chunks, hole }] of endings) {
    const of = `attempt ${event.endedAttempt} of ${evidence.taskId}`;
    if (hole !== undefined) {
      found.push(finding("output_missing", `output ${hole} of ${of} is missing, though later ones count`, event));
    }
    const misnumbered = chunks.findIndex(({ chunk }, i) => chunk !== 0 && chunk !== i + 1);
    if (misnumbered >= 0) {
      const text = `chunk ${chunks[misnumbered]?.chunk} of ${of} stands where ${misnumbered + 1} belongs`;
      found.push(finding("output_missing", text, event));
    }
    const written = event.state === "completed" ? accepted?.end?.chunks : undefined;
    if (written !== undefined && written !== chunks.length) {
      const text = `the handler of ${of} streamed ${written} chunks, but ${chunks.length} count`;
      found.push(finding("output_missing", text, event, ...(accepted?.end === undefined ? [] : [accepted.end])));
    }
  }
  return found;
}

/** Judges one reader. `seen` is what earlier readers got at each place. */
function checkReader(taskId: string, reads: readonly Read[], order: ResultOrder, seen: Map<number, Read>): Finding[] {
  const found: Finding[] = [];
  const { results } = order;
  let before: Read | undefined;
  let place: number | undefined;
  for (const read of reads) {
    if (read.kind === "left") break;
    if (read.kind === "end") {
      const missing = nextRecorded(results, place ?? 0);
      const last = results.at(-1);
      const whole = missing === undefined && last?.kind === "state";
      if (!whole) {
        const text = `${who(read)} was told that this is all, after #${place ?? 0}; #${missing ?? results.length + 1} was to come`;
        found.push(finding("ended_early", text, read, before));
      }
      break;
    }
    if (read.kind === "snapshot") {
      if (place !== undefined) found.push(...resumption(results, read, place, before));
      place = read.sequence;
    } else {
      found.push(...step(taskId, order, read, place, before), ...disagreement(read, seen));
      place = Math.max(place ?? 0, read.sequence);
    }
    before = read;
  }
  return found;
}

function resumption(results: readonly Result[], read: Read, place: number, before: Read | undefined): Finding[] {
  const passed = nextRecorded(results, place);
  if (read.sequence >= place && (passed === undefined || read.sequence < passed)) return [];
  const text = `${who(read)} came back after #${place}, and was resumed after #${read.sequence}`;
  return [finding("resumed_elsewhere", text, read, before)];
}

function step(
  taskId: string,
  order: ResultOrder,
  read: Read,
  place: number | undefined,
  before: Read | undefined,
): Finding[] {
  const { sequence } = read;
  const found: Finding[] = [];
  const due = place === undefined ? sequence : (nextRecorded(order.results, place) ?? place + 1);
  if (place !== undefined && sequence === place) {
    found.push(finding("repeated", `${who(read)} got #${sequence} again`, read, before));
  } else if (place !== undefined && sequence < place) {
    found.push(finding("out_of_order", `${who(read)} got #${sequence} after #${place}`, read, before));
  } else if (sequence > due) {
    found.push(finding("hole", `${who(read)} got #${sequence} after #${place ?? 0}; #${due} is missing`, read, before));
  }
  const result = order.results[sequence - 1];
  if (result !== undefined && matches(read, result)) return found;
  if (isDropped(read, order)) {
    const text = `${who(read)} got chunk ${read.index} of attempt ${read.attempt} on ${read.agentId}, which was fenced or over by then`;
    return [...found, { ...finding("fenced_output_read", text, read, before), invariant: 3 }];
  }
  const stands = result === undefined ? "nothing stands there" : `${contents(result)} stands there`;
  const text = `${who(read)} got ${contentsRead(read)} as #${sequence} of ${taskId}, but ${stands}`;
  return [...found, finding("read_differs", text, read, before)];
}

/** The next place after one whose result a reader writes down; undefined if there is none. */
function nextRecorded(results: readonly Result[], place: number): number | undefined {
  for (let next = place + 1; next <= results.length; next += 1) {
    const result = results[next - 1];
    if (result?.kind === "state" || result?.item.kind === "chunk") return next;
  }
  return undefined;
}

function disagreement(read: Read, seen: Map<number, Read>): Finding[] {
  const other = seen.get(read.sequence);
  if (other === undefined) seen.set(read.sequence, read);
  if (other === undefined || contentsRead(other) === contentsRead(read)) return [];
  const text = `${who(read)} got ${contentsRead(read)} as #${read.sequence}, ${who(other)} got ${contentsRead(other)}`;
  return [finding("readers_disagree", text, read, other)];
}

function matches(read: Read, result: Result): boolean {
  return contentsRead(read) === contents(result);
}

function contents(result: Result): string {
  if (result.kind === "state") return `${result.event.state} ${result.event.attempt} ${result.event.agentId}`;
  const { item, output } = result;
  return `${item.kind} ${item.chunk} of ${output.attempt} ${output.agentId}`;
}

function contentsRead({ kind, state, attempt = 0, agentId = "", index = 0 }: Read): string {
  return kind === "state" ? `${state} ${attempt} ${agentId}` : `${kind} ${index} of ${attempt} ${agentId}`;
}

function isDropped({ kind, attempt, agentId, index }: Read, { dropped }: ResultOrder): boolean {
  if (kind !== "chunk") return false;
  return dropped.some(({ output, item }) => {
    return item.chunk === index && output.attempt === attempt && output.agentId === agentId;
  });
}

function who({ reader, connection }: Read): string {
  return `reader ${reader} (connection ${connection})`;
}

function finding(rule: string, message: string, shows: Exhibit, besides?: Exhibit): Finding {
  return { invariant: 4, rule, message, exhibits: besides === undefined ? [shows] : [shows, besides] };
}
