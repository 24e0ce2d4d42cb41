// The wall clock of a process, which can be set while it runs. Loaded before everything else, so that nobody keeps the true one. The
// monotonic clock and timers are left as they are: they never jump on a real machine either.

const TrueDate = Date;
const { timeOrigin } = performance;
let shiftMs = 0;

function now(): number {
  return TrueDate.now() + shiftMs;
}

/** Sets the clock forward by this many milliseconds from where it is, or back if negative. */
export function jumpClock(ms: number): void {
  shiftMs += ms;
}

// A proxy, so that dates made before and after are of the same class.
globalThis.Date = new Proxy(TrueDate, {
  construct: (target, args: unknown[], newTarget): Date =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new TrueDate(now()).toString(),
  get: (target, key, receiver): unknown => (key === "now" ? now : Reflect.get(target, key, receiver)),
});
// Wall time can be told from here as well: when the process began, and how long ago that is.
Object.defineProperty(performance, "timeOrigin", { get: () => timeOrigin + shiftMs });
