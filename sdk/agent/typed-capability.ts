// Owns capabilities that are defined by Protobuf schemas: input read and checked before the handler, outputs and result typed and given
// in the form of the input. An untyped capability pays nothing for it: all of this is a handler like any other.
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Priority } from "../../gen/mycel/v1/task_pb.ts";
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import type { Logger } from "../../lib/core/logger.ts";
import type { TaskContext } from "./context.ts";
import type { Capability } from "./define.ts";
import { complete, fail, type Outcome, outcomeOfValue } from "./outcome.ts";
import type { AgentTask } from "./task.ts";
import {
  type FieldViolation,
  inForm,
  type MessageForm,
  type PayloadReader,
  readTypedInput,
  type TypedInput,
} from "./typed-input.ts";

/** A task type whose input, outputs and result are Protobuf messages. */
export interface TypedCapability<In extends DescMessage, Out extends DescMessage, Chunk extends DescMessage = Out> {
  /** The message that a task's input must be. No input at all is the empty message. */
  readonly input: In;
  /** The message that the handler returns. */
  readonly output: Out;
  /** The message that it streams by `ctx.output`. As `output` if left out. */
  readonly chunk?: Chunk;
  /**
   * What is wrong with an input that has the form of its message: bounds, and what must be given. All violations, because they are told
   * at once, as INVALID_INPUT. It may be asked about an input of which some fields could not be read; what it says of those is left out.
   */
  readonly check?: (input: MessageShape<In>) => readonly FieldViolation[];
  /** Makes an input of bytes or a blob of another media type than JSON and Protobuf, which are refused if it is left out. */
  readonly fromPayload?: PayloadReader<In>;
  /** Runs one attempt. What it returns is the result; the other ways to end are those of every handler. */
  run(
    task: AgentTask<MessageShape<In>>,
    ctx: TypedContext<Chunk>,
  ): MessageInitShape<Out> | Outcome | Promise<MessageInitShape<Out> | Outcome>;
  /** The queue it is pulled from. The task type if left out. */
  readonly queue?: string;
  /** What it does, in a sentence of at most 1,024 characters. */
  readonly description?: string;
}

/** A handler's means while it runs; what it streams is typed. */
export interface TypedContext<Chunk extends DescMessage> extends Omit<TaskContext, "output"> {
  /** Streams a partial result, in the form of the input. As {@link TaskContext.output}. */
  readonly output: (chunk: MessageInitShape<Chunk>) => Promise<void>;
}

/**
 * Defines a capability by Protobuf schemas, for `defineAgent({ capabilities })`. Its input may come as JSON (Protobuf's JSON mapping,
 * unknown fields refused), as `google.protobuf.Any`, or as bytes of `application/json` or `application/protobuf`; outputs and result
 * have the form of the input. An input that is not as it must be fails the task with INVALID_INPUT and every violation in one line.
 */
export function typedCapability<In extends DescMessage, Out extends DescMessage, Chunk extends DescMessage = Out>(
  options: TypedCapability<In, Out, Chunk>,
): Capability {
  const { queue, description } = options;
  return {
    ...(queue === undefined ? {} : { queue }),
    ...(description === undefined ? {} : { description }),
    run(task, ctx) {
      const read = readTypedInput(options.input, task, options.fromPayload);
      return read instanceof Promise
        ? read.then((input) => call(options, task, ctx, input))
        : call(options, task, ctx, read);
    },
  };
}

function call<In extends DescMessage, Out extends DescMessage, Chunk extends DescMessage>(
  options: TypedCapability<In, Out, Chunk>,
  task: AgentTask,
  ctx: TaskContext,
  read: TypedInput<In>,
): unknown {
  const violations = violationsOf(options, read);
  if (violations.length > 0) return fail(`invalid input: ${lineOf(violations)}`, { reason: "INVALID_INPUT" });
  const { output, chunk } = options;
  const { form } = read;
  const typed = new TypedTaskContext(ctx, (value: MessageInitShape<Chunk>) =>
    // `chunk` is left out only where Chunk is Out.
    ctx.output(chunk === undefined ? inForm<DescMessage>(form, output, value) : inForm(form, chunk, value)),
  );
  const value = options.run(new TypedTask(task, read.message), typed);
  return value instanceof Promise
    ? value.then((result) => resultOf(form, output, result))
    : resultOf(form, output, value);
}

function resultOf<Out extends DescMessage>(
  form: MessageForm,
  schema: Out,
  value: MessageInitShape<Out> | Outcome,
): Outcome {
  const outcome = outcomeOfValue(value);
  if (outcome.kind !== "complete") return outcome;
  return complete(inForm<DescMessage>(form, schema, isInit(outcome.value) ? outcome.value : {}));
}

function isInit(value: unknown): value is MessageInitShape<DescMessage> {
  return typeof value === "object" && value !== null;
}

/** The violations of both readings: what the check says of a field that could not be read at all would be said twice. */
function violationsOf<In extends DescMessage>(
  { check }: Pick<TypedCapability<In, DescMessage>, "check">,
  { message, violations }: TypedInput<In>,
): readonly FieldViolation[] {
  if (violations.some(({ field }) => field === "")) return violations;
  const unread = violations.map(({ field }) => field);
  const found = check?.(message) ?? [];
  return [
    ...violations,
    ...found.filter(({ field }) => !unread.some((other) => isWithin(field, other) || isWithin(other, field))),
  ];
}

function isWithin(field: string, outer: string): boolean {
  return field === outer || field.startsWith(`${outer}.`) || field.startsWith(`${outer}[`);
}

const MAX_LISTED = 20;

function lineOf(violations: readonly FieldViolation[]): string {
  const listed = violations
    .slice(0, MAX_LISTED)
    .map(({ field, description }) => (field === "" ? description : `${field}: ${description}`));
  if (violations.length > MAX_LISTED) listed.push(`and ${violations.length - MAX_LISTED} more`);
  return listed.join("; ");
}

class TypedTaskContext<Chunk extends DescMessage> implements TypedContext<Chunk> {
  readonly output: (chunk: MessageInitShape<Chunk>) => Promise<void>;
  readonly #ctx: TaskContext;

  constructor(ctx: TaskContext, output: (chunk: MessageInitShape<Chunk>) => Promise<void>) {
    this.#ctx = ctx;
    this.output = output;
  }

  get signal(): AbortSignal {
    return this.#ctx.signal;
  }

  get attempt(): number {
    return this.#ctx.attempt;
  }

  get deadline(): Date {
    return this.#ctx.deadline;
  }

  get logger(): Logger {
    return this.#ctx.logger;
  }

  get progress(): TaskContext["progress"] {
    return this.#ctx.progress;
  }

  get log(): TaskContext["log"] {
    return this.#ctx.log;
  }

  get heartbeat(): TaskContext["heartbeat"] {
    return this.#ctx.heartbeat;
  }

  get blob(): TaskContext["blob"] {
    return this.#ctx.blob;
  }

  get openBlob(): TaskContext["openBlob"] {
    return this.#ctx.openBlob;
  }
}

class TypedTask<Input> implements AgentTask<Input> {
  readonly input: Input;
  readonly #task: AgentTask;

  constructor(task: AgentTask, input: Input) {
    this.input = input;
    this.#task = task;
  }

  get taskId(): string {
    return this.#task.taskId;
  }

  get type(): string {
    return this.#task.type;
  }

  get queue(): string {
    return this.#task.queue;
  }

  get attempt(): number {
    return this.#task.attempt;
  }

  get priority(): Priority {
    return this.#task.priority;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#task.labels;
  }

  get createTime(): Date {
    return this.#task.createTime;
  }

  get payload(): Payload | undefined {
    return this.#task.payload;
  }

  read(): Promise<Uint8Array> {
    return this.#task.read();
  }
}
