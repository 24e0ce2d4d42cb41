// Passes what a process is told on to its other threads, which have no channel to the test, and adds up what they answer. Each thread
// counts its own steps: a fail point is where any of them comes first.
import process from "node:process";
import { BroadcastChannel, isMainThread, threadId } from "node:worker_threads";
import type { ControlAnswer, ControlOrder } from "./order.ts";

/** What one thread makes of an order. */
export type CarryOut = (order: ControlOrder) => Omit<ControlAnswer, "id">;

/** What goes between the threads of a process. */
type Word =
  /** A thread can be told from now on. */
  | { readonly from: number; readonly word: "here" }
  /** What one thread, or each of them, is told. */
  | { readonly word: "order"; readonly to: number | undefined; readonly id: number; readonly order: ControlOrder }
  | { readonly from: number; readonly word: "done"; readonly id: number; readonly answer: Omit<ControlAnswer, "id"> };

const channel = new BroadcastChannel("fault-control");
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window
const say = (word: Word): void => channel.postMessage(word);

/** The threads that can be told, and who waits for their answers: by thread and order. */
const others = new Map<number, Map<number, (answer: Omit<ControlAnswer, "id">) => void>>();
/** What a thread that comes later must be told: the last of each kind that lasts. */
const lasting = new Map<string, ControlOrder>();
let orders = 0;

/** In the main thread: has every thread carry out an order. Resolves when all have. */
export async function everywhere(order: ControlOrder, carryOut: CarryOut): Promise<Omit<ControlAnswer, "id">> {
  if (order.verb === "fail-at" || order.verb === "tamper") lasting.set(order.verb, order);
  orders += 1;
  const id = orders;
  const answers = [...others.values()].map(
    (waiting) =>
      new Promise<Omit<ControlAnswer, "id">>((resolve) => {
        waiting.set(id, resolve);
      }),
  );
  say({ word: "order", to: undefined, id, order });
  const all = [carryOut(order), ...(await Promise.all(answers))];
  return all.reduce(together);
}

/** In each thread, once: begins to listen. */
export function listen(carryOut: CarryOut): void {
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- as an EventTarget it would keep the thread alive
  channel.onmessage = ({ data }) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only this module speaks here
    const word = data as Word;
    if (isMainThread) hear(word);
    else if (word.word === "order" && (word.to ?? threadId) === threadId) {
      say({ from: threadId, word: "done", id: word.id, answer: carryOut(word.order) });
    }
  };
  // It keeps nobody alive.
  channel.unref();
  if (!isMainThread) say({ from: threadId, word: "here" });
  else {
    process.on("worker", (worker) => {
      const { threadId: gone } = worker;
      worker.once("exit", () => {
        for (const answered of others.get(gone)?.values() ?? []) answered({});
        others.delete(gone);
      });
    });
  }
}

function hear(word: Word): void {
  if (word.word === "here") {
    others.set(word.from, new Map());
    for (const order of lasting.values()) say({ word: "order", to: word.from, id: 0, order });
  } else if (word.word === "done") {
    const waiting = others.get(word.from);
    waiting?.get(word.id)?.(word.answer);
    waiting?.delete(word.id);
  }
}

function together(one: Omit<ControlAnswer, "id">, other: Omit<ControlAnswer, "id">): Omit<ControlAnswer, "id"> {
  if (one.steps === undefined || other.steps === undefined) return { ...one, ...other };
  const steps = { ...one.steps };
  for (const [step, times] of Object.entries(other.steps)) steps[step] = (steps[step] ?? 0) + times;
  return { steps };
}
