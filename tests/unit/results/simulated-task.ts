// The logs of one task in memory, with what a real broker may do to readers: live messages that are lost, repeated or late, and
// replicas that lag behind. Says by itself, in the plainest way, which sequence is the right one.
import { create } from "@bufbuild/protobuf";
import { OutputBatchSchema } from "../../../gen/mycel/v1/output_pb.ts";
import { type TaskEvent, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema, TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { Run } from "../../../lib/core/result-order.ts";
import { chainLinkOf, outputLinkOf } from "../../../lib/wire/result-links.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import type {
  EventMessage,
  LiveResult,
  OutputMessage,
  ResultSource,
} from "../../../services/coordinator/results/result-source.ts";
import type { Waits } from "../../../services/coordinator/results/sleeper.ts";

/** A number from 0 (inclusive) to 1 (exclusive). */
export type Random = () => number;

/** A repeatable source of chance. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface StoredOutput {
  readonly message: OutputMessage;
  /** Which attempt of the history gave it, by its place in the list of begun attempts. */
  readonly begun: number;
  readonly subject: string;
}

/** One moment of a history. */
type Step = { readonly event: EventMessage } | { readonly output: StoredOutput };

/** A history of one task: its logs in the order in which they were written. */
export class History {
  readonly steps: Step[] = [];
  readonly #lastOf = new Map<string, number>();
  #sequence = 100;
  #lastEvent = 0;
  #begun = -1;

  event(fields: Parameters<typeof create<typeof TaskEventSchema>>[1]): void {
    const event: TaskEvent = create(TaskEventSchema, fields);
    this.#sequence += 1;
    const link = chainLinkOf(event, this.#sequence, this.#lastEvent);
    this.#lastEvent = this.#sequence;
    if (link.begins !== undefined) this.#begun += 1;
    this.steps.push({ event: { kind: "event", event, link } });
  }

  /** Outputs of an attempt; returns their stream sequence. */
  output(run: Run, begun: number, indexes: readonly number[], fence = false): number {
    const subject = `${run.agentId}.${run.attempt}`;
    const batch = create(OutputBatchSchema, { outputs: indexes.map((index) => ({ index: BigInt(index) })), fence });
    this.#sequence += 1;
    const link = outputLinkOf(batch, run, this.#sequence, this.#lastOf.get(subject) ?? 0);
    this.#lastOf.set(subject, this.#sequence);
    this.steps.push({ output: { message: { kind: "output", batch, link }, begun, subject } });
    return this.#sequence;
  }

  /** The place of the running attempt in the list of begun ones. */
  get begun(): number {
    return this.#begun;
  }

  get events(): EventMessage[] {
    return this.steps.flatMap((step) => ("event" in step ? [step.event] : []));
  }

  get outputs(): StoredOutput[] {
    return this.steps.flatMap((step) => ("output" in step ? [step.output] : []));
  }

  /** The right sequence: `e<event sequence>` and `o<begun>:<output sequence>:<index>`. */
  canonical(): string[] {
    const found: string[] = [];
    let running: { readonly run: Run; readonly begun: number } | undefined;
    let begun = -1;
    for (const { link } of this.events) {
      if (running !== undefined) {
        const { run } = running;
        const ends = link.ends?.agentId === run.agentId && link.ends.attempt === run.attempt;
        const upTo = ends ? (link.ends?.outputSequence ?? 0) : 0;
        const seen = new Set<number>();
        for (const { message, begun: of } of this.outputs) {
          if (of !== running.begun || message.link.sequence > upTo) continue;
          for (const index of message.link.indexes) {
            if (!seen.has(index)) found.push(`o${run.agentId}.${run.attempt}:${message.link.sequence}:${index}`);
            seen.add(index);
          }
        }
      }
      found.push(`e${link.sequence}`);
      if (link.begins !== undefined) begun += 1;
      running = link.begins === undefined ? undefined : { run: link.begins, begun };
    }
    return found;
  }
}

/** Writes a random history of attempts that are handed back, lost, repeated, fenced, and haunted by zombies. */
export function randomHistory(random: Random): History {
  const history = new History();
  const zombies: { readonly run: Run; readonly begun: number; index: number }[] = [];
  const pick = (below: number): number => Math.floor(random() * below);
  let attempt = 1;
  let inherited: Run | undefined;
  for (let round = 0; ; round += 1) {
    const last = round >= 3 || random() < 0.3;
    const run = inherited ?? { agentId: "ab"[pick(2)]!, attempt };
    if (inherited === undefined) history.event({ state: TaskState.WORKING, attempt, agentId: run.agentId });
    inherited = undefined;
    const { begun } = history;
    let [index, lastOutput, indexes, fenced] = [0, 0, [] as number[], 0];
    for (let n = pick(6); n > 0; n -= 1) {
      if (zombies.length > 0 && random() < 0.3) {
        const zombie = zombies[pick(zombies.length)]!;
        history.output(zombie.run, zombie.begun, [(zombie.index += 1)]);
      }
      const action = random();
      if (action < 0.15) fenced = lastOutput;
      if (action < 0.15) history.output(run, begun, [], true);
      else if (action < 0.25 && indexes.length > 0) lastOutput = history.output(run, begun, indexes);
      else {
        indexes = Array.from({ length: 1 + pick(3) }, () => (index += 1));
        lastOutput = history.output(run, begun, indexes);
      }
    }
    const ended = { endedAttempt: run.attempt, endedAgentId: run.agentId };
    const own = { ...ended, outputSequence: BigInt(lastOutput) };
    const lost = random() < 0.5;
    if (lost) {
      // The lease is taken away: nothing after the fence counts, and the agent may not know it yet.
      history.output(run, begun, [], true);
      const named = fenced > 0 && random() < 0.3 ? fenced : lastOutput;
      if (random() < 0.5) history.output(run, begun, [(index += 1)]);
      zombies.push({ run, begun, index });
      const taken = { ...ended, outputSequence: BigInt(named) };
      if (last) {
        history.event({ state: random() < 0.5 ? TaskState.CANCELED : TaskState.FAILED, ...taken });
      } else {
        attempt += 1;
        if (random() < 0.5) {
          const next = { agentId: "ab"[pick(2)]!, attempt };
          history.event({ state: TaskState.WORKING, attempt, agentId: next.agentId, ...taken });
          inherited = next;
        } else history.event({ state: TaskState.BACKING_OFF, ...taken });
      }
    } else if (last) history.event({ state: TaskState.COMPLETED, ...own });
    else {
      // Handed back: the same attempt again, perhaps by the same agent on the same subject.
      if (random() < 0.5) attempt += 1;
      history.event({ state: random() < 0.5 ? TaskState.BACKING_OFF : TaskState.SUBMITTED, ...own });
    }
    if (last) break;
  }
  if (zombies.length > 0) history.output(zombies[0]!.run, zombies[0]!.begun, [(zombies[0]!.index += 1)]);
  return history;
}

/** How faithful the broker is. */
export interface Faults {
  /** The shares of live messages that are lost, repeated, late. */
  readonly lost: number;
  readonly repeated: number;
  readonly late: number;
  /** The share of reads that a replica answers which lags behind. */
  readonly lagging: number;
}

/** A history as a reader sees it while it is being written. */
export class SimulatedTask implements ResultSource, Waits {
  readonly tenant = "default";
  readonly taskId = "t-1";
  readonly #history: History;
  readonly #random: Random;
  readonly #faults: Faults;
  #written: number;
  #calls = 0;
  #queue: LiveResult[] = [];
  #late: LiveResult[] = [];

  /** `written` is how many steps are in the log when reading begins. */
  constructor(history: History, written: number, random: Random, faults: Faults) {
    this.#history = history;
    this.#written = written;
    this.#random = random;
    this.#faults = faults;
  }

  async record(): Promise<TaskRecord> {
    const message = create(DispatchSchema, {
      task: create(TaskSchema, { taskId: this.taskId, type: "echo" }),
      attempt: 1,
    });
    return {
      tenant: this.tenant,
      taskId: this.taskId,
      dispatch: { message, sequence: 1, queue: "echo", priority: 5 },
      event: undefined,
      trace: { traceparent: "", tracestate: "" },
    };
  }

  async events(from: number): Promise<readonly EventMessage[]> {
    const found = this.#visible().flatMap((step) => ("event" in step ? [step.event] : []));
    return found.filter(({ link }) => link.sequence >= from).slice(0, 2);
  }

  async lastEvent(): Promise<number> {
    const written = this.#history.steps.slice(0, this.#written);
    return written.flatMap((step) => ("event" in step ? [step.event.link.sequence] : [])).at(-1) ?? 0;
  }

  async outputs(run: Run, after: number): Promise<readonly OutputMessage[]> {
    const found = this.#visible().flatMap((step) => ("output" in step ? [step.output] : []));
    const subject = `${run.agentId}.${run.attempt}`;
    const mine = found.filter((output) => output.subject === subject && output.message.link.sequence > after);
    return mine.slice(0, 2).map(({ message }) => message);
  }

  async holdsOutput(run: Run, sequence: number): Promise<boolean> {
    const written = this.#history.steps.slice(0, this.#written);
    const subject = `${run.agentId}.${run.attempt}`;
    return written.some(
      (step) => "output" in step && step.output.subject === subject && step.output.message.link.sequence === sequence,
    );
  }

  take(): LiveResult {
    this.#maybeAdvance(0.2);
    return this.#queue.shift() ?? { kind: "nothing" };
  }

  async sleep(): Promise<"news" | "tick"> {
    this.#maybeAdvance(1);
    return this.#queue.length > 0 ? "news" : "tick";
  }

  async pause(): Promise<void> {
    this.#maybeAdvance(0.5);
  }

  check(): void {}

  #visible(): Step[] {
    this.#maybeAdvance(0.2);
    const behind = this.#random() < this.#faults.lagging ? 1 + Math.floor(this.#random() * 3) : 0;
    return this.#history.steps.slice(0, Math.max(0, this.#written - behind));
  }

  #maybeAdvance(chance: number): void {
    this.#calls += 1;
    if (this.#calls > 20_000) throw new Error("the reader goes round and round");
    if (this.#random() >= chance) return;
    const step = this.#history.steps[this.#written];
    if (this.#random() < 0.5) this.#queue.push(...this.#late.splice(0));
    if (step === undefined) return;
    this.#written += 1;
    const live = "event" in step ? step.event : step.output.message;
    const { lost, repeated, late } = this.#faults;
    const luck = this.#random();
    if (luck < lost) {
      if (this.#random() < 0.3) this.#queue = [{ kind: "missed" }];
    } else if (luck < lost + late) this.#late.push(live);
    else this.#queue.push(live, ...(luck < lost + late + repeated ? [live] : []));
  }
}
