// Owns the line in which look-ups wait for their turn. The system's look-up holds one of the few threads on which the process also reads
// files and unpacks, for as long as a dead name server lets it hang and whether or not anybody still waits: names that
// users give must not take them all.
import type { Lookup } from "./resolve.ts";

/** Most look-ups at once: half of the threads that Node has, unless told otherwise. */
export const MAX_LOOKUPS = 2;

/** A look-up that may have to wait first. Rejects as the {@link Lookup} behind it, or with the signal's reason as soon as it aborts. */
export type LineLookup = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

interface Search {
  readonly host: string;
  readonly answer: PromiseWithResolvers<readonly string[]>;
  /** Who waits for it now. */
  callers: number;
}

/**
 * Has at most `maxAtOnce` look-ups under way, first come first served. Whoever asks for a name that is being looked up, or waits to
 * be, gets the same answer; once it is there it is forgotten. A look-up that nobody waits for leaves the line, but one that has begun counts
 * until it ends.
 */
export function openLookupLine(find: Lookup, maxAtOnce: number = MAX_LOOKUPS): LineLookup {
  const searches = new Map<string, Search>();
  const waiting = new Set<Search>();
  let running = 0;
  const run = async (search: Search): Promise<void> => {
    try {
      search.answer.resolve(await find(search.host));
    } catch (error) {
      search.answer.reject(error);
    }
    running -= 1;
    searches.delete(search.host);
    startNext();
  };
  const startNext = (): void => {
    for (const search of waiting) {
      if (running >= maxAtOnce) return;
      waiting.delete(search);
      running += 1;
      void run(search);
    }
  };
  const searchFor = (host: string): Search => {
    const known = searches.get(host);
    if (known !== undefined) return known;
    const search: Search = { host, answer: Promise.withResolvers(), callers: 0 };
    // It may fail when all who asked have gone.
    search.answer.promise.catch(() => {});
    searches.set(host, search);
    waiting.add(search);
    startNext();
    return search;
  };
  return async (host, signal) => {
    signal.throwIfAborted();
    const search = searchFor(host);
    search.callers += 1;
    try {
      return await unlessEnded(search.answer.promise, signal);
    } finally {
      search.callers -= 1;
      if (search.callers === 0 && waiting.delete(search)) searches.delete(host);
    }
  };
}

/** A look-up cannot be stopped, but nobody has to wait for it. */
async function unlessEnded<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(signal.reason);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([work, ended.promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}
