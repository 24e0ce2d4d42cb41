// The one order of a task's state changes and outputs, as a pure function of its logs: every reader, early or late, from any cursor,
// applies these rules to what it is given and gets the same sequence. Must not know where messages come from.
//
// Two logs are merged: the chain of events, and for each attempt the outputs on its own subject. The outputs of an attempt stand
// between the event that began it and the next one. An event that ends an attempt names the last of its outputs that counts.

/** One attempt by one agent. */
export interface Run {
  readonly agentId: string;
  readonly attempt: number;
}

/** An event of the chain, as far as the order needs it. */
export interface ChainLink {
  /** Its stream sequence. */
  readonly sequence: number;
  /** The stream sequence of the event before it, 0 for none. */
  readonly previous: number;
  /** The attempt that it begins. */
  readonly begins: Run | undefined;
  /** The attempt that it ends, with the stream sequence of the attempt's last output, 0 for none. */
  readonly ends: (Run & { readonly outputSequence: number }) | undefined;
  /** Whether nothing can follow it. */
  readonly terminal: boolean;
}

/** A message on the output subject of an attempt, as far as the order needs it. */
export interface OutputLink {
  /** Its stream sequence. */
  readonly sequence: number;
  /** The stream sequence of the message before it on its subject, 0 for none. */
  readonly previous: number;
  readonly run: Run;
  /** Whether it is the marker of a coordinator that takes the lease away. */
  readonly fence: boolean;
  /** `Output.index` of each output in it. */
  readonly indexes: readonly number[];
}

/** How far a reader is. What a cursor holds. */
export interface Position {
  /** How many state changes and outputs it has. */
  readonly ordinal: number;
  /** The stream sequence of its last event, 0 for none. */
  readonly event: number;
  /** The stream sequence up to which it is done with outputs. */
  readonly output: number;
  /** How many outputs it has of the next message on the output subject. */
  readonly item: number;
  /** The index of the last output that it has of the running attempt, 0 for none. */
  readonly index: number;
}

/** Before everything. */
export const START: Position = { ordinal: 0, event: 0, output: 0, item: 0, index: 0 };

/** What a reader knows. */
export interface OrderState {
  readonly position: Position;
  /** The attempt that the last event began. */
  readonly run: Run | undefined;
  /** Whether the attempt was fenced: outputs wait for the event that decides about them. */
  readonly fenced: boolean;
  /** Whether everything was delivered. */
  readonly ended: boolean;
  /** Whether no output of the attempt was delivered since reading began: here retention may have left a hole. */
  readonly fresh: boolean;
}

/** What an event does. */
export type EventVerdict =
  | { readonly kind: "deliver"; readonly state: OrderState }
  /** It was delivered before. */
  | { readonly kind: "old" }
  /** Events before it are missing. */
  | { readonly kind: "gap" }
  /** First the outputs of the running attempt up to this sequence. */
  | { readonly kind: "outputs_first"; readonly upTo: number };

/** One output to deliver. */
export interface OutputItem {
  /** Which of the message's outputs. */
  readonly at: number;
  /** The position once it is delivered. */
  readonly position: Position;
}

/** What an output message does. */
export type OutputVerdict =
  | { readonly kind: "deliver"; readonly state: OrderState; readonly items: readonly OutputItem[] }
  /** It was delivered before, or belongs to no running attempt, or comes after the attempt's last. */
  | { readonly kind: "skip" }
  /** Nothing of the attempt is delivered until an event decides. */
  | { readonly kind: "held"; readonly state: OrderState }
  /** Messages before it on its subject are missing. */
  | { readonly kind: "gap" }
  /** Outputs before it are gone from the log. */
  | { readonly kind: "expired"; readonly available: Position };

/** The state of a reader that has everything up to a position; `run` is the attempt that the event at the position began. */
export function resumeAt(position: Position, run: Run | undefined, ended: boolean): OrderState {
  return { position, run, fenced: false, ended, fresh: true };
}

/** Applies an event. `outputsRead` is the sequence up to which the log of the running attempt has been read to its end. */
export function applyEvent(state: OrderState, event: ChainLink, outputsRead = 0): EventVerdict {
  const { position, run } = state;
  if (state.ended || event.sequence <= position.event) return { kind: "old" };
  if (event.previous !== position.event) return { kind: "gap" };
  const upTo = lastOutput(run, event);
  if (upTo > Math.max(position.output, outputsRead)) return { kind: "outputs_first", upTo };
  return {
    kind: "deliver",
    state: {
      position: { ...position, ordinal: position.ordinal + 1, event: event.sequence, item: 0, index: 0 },
      run: event.begins,
      fenced: false,
      ended: event.terminal,
      fresh: true,
    },
  };
}

/** The last output of the running attempt that counts, by the event after it. What that event does not end has no outputs. */
function lastOutput(run: Run | undefined, event: ChainLink): number {
  return run !== undefined && event.ends !== undefined && sameRun(run, event.ends) ? event.ends.outputSequence : 0;
}

/** Applies an output message. With `upTo`, an event has decided: fences are passed, and later messages are left out. */
export function applyOutput(state: OrderState, message: OutputLink, upTo?: number): OutputVerdict {
  const { position, run } = state;
  if (state.ended || run === undefined || !sameRun(run, message.run)) return { kind: "skip" };
  if (message.sequence <= position.output || message.sequence > (upTo ?? Infinity)) return { kind: "skip" };
  if (upTo === undefined && state.fenced) return { kind: "held", state };
  if (message.previous > position.output) return { kind: "gap" };
  if (message.fence) {
    if (upTo === undefined) return { kind: "held", state: { ...state, fenced: true } };
    return {
      kind: "deliver",
      state: { ...state, position: { ...position, output: message.sequence, item: 0 } },
      items: [],
    };
  }
  return deliverOutputs(state, message);
}

function deliverOutputs(state: OrderState, message: OutputLink): OutputVerdict {
  const items: OutputItem[] = [];
  let { position } = state;
  for (const [at, index] of message.indexes.entries()) {
    if (at < position.item) continue;
    // An agent that was not answered publishes again: what it repeats counts once.
    if (index !== 0 && index <= position.index) continue;
    if (state.fresh && items.length === 0 && index > position.index + 1) {
      const missed = index - position.index - 1;
      const available = {
        ...position,
        ordinal: position.ordinal + missed,
        output: message.sequence - 1,
        index: index - 1,
      };
      return { kind: "expired", available };
    }
    const whole = at === message.indexes.length - 1;
    position = {
      ordinal: position.ordinal + 1,
      event: position.event,
      output: whole ? message.sequence : position.output,
      item: whole ? 0 : at + 1,
      index,
    };
    items.push({ at, position });
  }
  const done = { ...position, output: message.sequence, item: 0 };
  return { kind: "deliver", state: { ...state, position: done, fresh: state.fresh && items.length === 0 }, items };
}

/** Whether two are the same attempt by the same agent. */
export function sameRun(a: Run, b: Run): boolean {
  return a.attempt === b.attempt && a.agentId === b.agentId;
}
