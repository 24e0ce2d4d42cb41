// The proxies on one member's link of one kind: one for each party at the other end.
import { joinLinks, type LinkFaults, turnLink } from "./link-faults.ts";
import { openTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** A member's link of one kind; what is done to it is done towards every other party. */
export interface LinkProxy extends LinkFaults {
  /** The part of it that leads to one party, by its name. Throws a RangeError if there is none. */
  to(name: string): LinkFaults;
}

/** Makes a member's link of its parts, by the name of the party at the other end. */
export function linkProxyOf(parts: ReadonlyMap<string, LinkFaults>): LinkProxy {
  return {
    ...joinLinks([...parts.values()]),
    to(name) {
      const part = parts.get(name);
      if (part === undefined) throw new RangeError(`no proxy leads to ${name}, but to ${[...parts.keys()].join(", ")}`);
      return part;
    },
  };
}

/** Someone who is connected to. */
export interface Listener {
  readonly name: string;
  readonly port: number;
}

/** All proxies of a mesh. */
export interface ProxyBook extends AsyncDisposable {
  /**
   * Puts a proxy in front of each of these. `ports` says which port of 127.0.0.1 to connect to in place of which.
   */
  towards(targets: readonly Listener[]): Promise<{
    readonly link: LinkProxy;
    readonly ports: ReadonlyMap<number, number>;
  }>;
  /** Puts a proxy in front of a listener; the link as the listener sees it leads to `from`. */
  inFrontOf(target: Listener, from: string): Promise<{ readonly link: LinkProxy; readonly port: number }>;
  /** Puts a proxy between two brokers and returns its port. */
  between(from: string, to: Listener): Promise<number>;
  /** The routes of a broker, both ways; undefined if there are no proxies on them. */
  routesOf(broker: string): LinkProxy | undefined;
  /** Everything that leads to a member. */
  leadingTo(name: string): readonly LinkFaults[];
  /** Ends all faults of all links. */
  heal(): Promise<void>;
}

/** Opens an empty book. */
export function openProxyBook(): ProxyBook {
  const proxies: TcpProxy[] = [];
  const incoming = new Map<string, LinkFaults[]>();
  const routes = new Map<string, Map<string, LinkFaults[]>>();

  const open = async ({ name, port }: Listener): Promise<TcpProxy> => {
    const proxy = await openTcpProxy({ targetPort: port });
    proxies.push(proxy);
    incoming.set(name, [...(incoming.get(name) ?? []), proxy]);
    return proxy;
  };
  const addRoute = (of: string, to: string, link: LinkFaults): void => {
    const known = routes.get(of) ?? new Map<string, LinkFaults[]>();
    routes.set(of, known.set(to, [...(known.get(to) ?? []), link]));
  };

  return {
    async towards(targets) {
      const parts = new Map<string, LinkFaults>();
      const ports = new Map<number, number>();
      for (const target of targets) {
        const proxy = await open(target);
        parts.set(target.name, proxy);
        ports.set(target.port, proxy.port);
      }
      return { link: linkProxyOf(parts), ports };
    },
    async inFrontOf(target, from) {
      const proxy = await open(target);
      return { link: linkProxyOf(new Map([[from, turnLink(proxy)]])), port: proxy.port };
    },
    async between(from, to) {
      const proxy = await open(to);
      addRoute(from, to.name, proxy);
      addRoute(to.name, from, turnLink(proxy));
      return proxy.port;
    },
    routesOf(broker) {
      const known = routes.get(broker);
      if (known === undefined) return undefined;
      return linkProxyOf(new Map([...known].map(([to, links]) => [to, joinLinks(links)])));
    },
    leadingTo: (name) => incoming.get(name) ?? [],
    async heal() {
      await Promise.all(proxies.map((proxy) => proxy.heal()));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    },
  };
}
