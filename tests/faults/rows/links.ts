// Connections that are slow, silent, lossy, or cut: between any two parties, one kind of link at a time.
import type { FaultMesh } from "../mesh/fault-mesh.ts";
import type { LinkFaults } from "../mesh/link-faults.ts";
import type { Link } from "../mesh/member.ts";
import type { Random } from "../random.ts";
import type { Row, Scene } from "../row.ts";

const LINKS: readonly Link[] = ["client-coordinator", "agent-coordinator", "coordinator-broker", "agent-broker"];
const FLOWS = ["out", "in", "both"] as const;

/** Links. */
export const LINK_ROWS: readonly Row[] = [
  {
    name: "link-slow",
    about:
      "a link of one member, or of all, is slow for 2 to 6 s: 20 to 300 ms later, or no more than 20 to 200 kB a second",
    mesh: { links: LINKS },
    faults: 6,
    short: 0,
    inject: (scene) =>
      onLink(scene, (link, random) => {
        if (random.chance(0.6)) {
          const ms = random.between(20, 150);
          link.delay(ms, ms);
          return `every byte comes ${ms} to ${2 * ms} ms later`;
        }
        const rate = random.between(20, 200) * 1_000;
        link.throttle(rate);
        return `${rate} bytes a second`;
      }),
  },
  {
    name: "link-cut",
    about: "a link of one member, or of all, is reset, closed on one side, or refused for 2 to 6 s",
    mesh: { links: LINKS },
    faults: 8,
    short: 0,
    inject: (scene) =>
      onLink(scene, async (link, random) => {
        const how = random.pick(["reset", "cut", "half-close"] as const);
        if (how === "reset") link.reset();
        else if (how === "cut") await link.cut();
        else link.halfClose(random.pick(["out", "in"]));
        return how;
      }),
  },
  {
    name: "link-silent",
    about:
      "a link of one member, or of all, is half open for 2 to 12 s: bytes stand still or vanish, in one or both directions",
    mesh: { links: LINKS },
    faults: 7,
    short: 1,
    inject: (scene) =>
      onLink(
        scene,
        (link, random) => {
          const flow = random.pick(FLOWS);
          const how = random.pick(["blackhole", "drop", "drop after some bytes"] as const);
          if (how === "blackhole") link.blackhole(flow);
          else if (how === "drop") link.drop(flow);
          else link.dropAfter(random.between(100, 20_000), flow);
          return `${how}, ${flow}`;
        },
        12_000,
      ),
  },
];

/** Does something to a link for a while. */
async function onLink(
  { mesh, random, injected, healed, lasting }: Scene,
  act: (link: LinkFaults, random: Random) => string | Promise<string>,
  longestMs = 6_000,
): Promise<undefined> {
  const kind = random.pick(LINKS);
  const ms = random.between(2_000, longestMs);
  const { name, links } = chosen(mesh, kind, random);
  try {
    const what = await Promise.all(links.map(async (link) => await act(link, random)));
    injected(`${kind} of ${name} for ${ms} ms: ${what.join("; ")}`);
    await lasting(ms);
  } finally {
    await mesh.heal();
    healed();
  }
  return undefined;
}

function chosen(mesh: FaultMesh, kind: Link, random: Random): { readonly name: string; readonly links: LinkFaults[] } {
  const members = kind.startsWith("agent") ? mesh.agents : mesh.coordinators;
  const some = random.chance(0.3) ? [...members] : [random.pick(members)];
  const links = some.flatMap(({ proxies }) => proxies[kind] ?? []);
  return { name: some.length > 1 ? "all" : (some[0]?.name ?? ""), links };
}
