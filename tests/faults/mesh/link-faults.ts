// What can be done to the connections between two parties, and how that is done to several at once. The doing is tcp-proxy.ts.

/** Which way bytes go, from the party to whom the link belongs: what it sends, what it receives, or both. */
export type Flow = "out" | "in" | "both";

/**
 * Faults of a link. They hold for the connections that stand and for those to come, one beside the other, until {@link heal}. `flow`
 * is both if left out.
 */
export interface LinkFaults {
  /** Every byte arrives this much later, and up to `jitterMs` more; the order stays. 0 ends it. */
  delay(ms: number, jitterMs?: number, flow?: Flow): void;
  /** No more than this many bytes a second get through, over all connections of one proxy. Infinity ends it. */
  throttle(bytesPerSecond: number, flow?: Flow): void;
  /**
   * Nothing is read and nothing forwarded, not even the end of a connection: a network that is cut somewhere. New connections are
   * accepted and lead nowhere. When it is healed, everything goes on where it stood.
   */
  blackhole(flow?: Flow): void;
  /**
   * What is sent is read and thrown away; the sender notices nothing. TCP never goes on after a loss, so connections that lost bytes are
   * reset when this is healed.
   */
  drop(flow?: Flow): void;
  /** Lets this many bytes through, over all connections, and then does as {@link drop}. */
  dropAfter(bytes: number, flow?: Flow): void;
  /** Resets all connections and refuses new ones. */
  cut(): Promise<void>;
  /** Resets the connections that stand. New ones are as good as ever. */
  reset(): void;
  /** Ends one flow of the connections that stand (FIN); the other goes on. */
  halfClose(flow: "out" | "in"): void;
  /** Ends all faults. */
  heal(): Promise<void>;
}

/** Does everything to several links. */
export function joinLinks(links: readonly LinkFaults[]): LinkFaults {
  const each = (act: (link: LinkFaults) => void): void => {
    for (const link of links) act(link);
  };
  return {
    delay: (...args) => each((link) => link.delay(...args)),
    throttle: (...args) => each((link) => link.throttle(...args)),
    blackhole: (...args) => each((link) => link.blackhole(...args)),
    drop: (...args) => each((link) => link.drop(...args)),
    dropAfter: (...args) => each((link) => link.dropAfter(...args)),
    cut: async () => void (await Promise.all(links.map((link) => link.cut()))),
    reset: () => each((link) => link.reset()),
    halfClose: (flow) => each((link) => link.halfClose(flow)),
    heal: async () => void (await Promise.all(links.map((link) => link.heal()))),
  };
}

/** A link as its other end sees it: what goes out for one comes in for the other. */
export function turnLink(link: LinkFaults): LinkFaults {
  const turn = (flow: Flow = "both"): Flow => (flow === "both" ? "both" : turnOne(flow));
  return {
    delay: (ms, jitterMs, flow) => link.delay(ms, jitterMs, turn(flow)),
    throttle: (bytesPerSecond, flow) => link.throttle(bytesPerSecond, turn(flow)),
    blackhole: (flow) => link.blackhole(turn(flow)),
    drop: (flow) => link.drop(turn(flow)),
    dropAfter: (bytes, flow) => link.dropAfter(bytes, turn(flow)),
    cut: () => link.cut(),
    reset: () => link.reset(),
    halfClose: (flow) => link.halfClose(turnOne(flow)),
    heal: () => link.heal(),
  };
}

function turnOne(flow: "out" | "in"): "out" | "in" {
  return flow === "out" ? "in" : "out";
}
