// Who is connected to a nats-server, as its monitoring pages tell.

import { z } from "zod";

const CONNECTIONS = z.object({
  connections: z.array(
    z.object({ cid: z.number(), name: z.string().optional(), authorized_user: z.string().optional() }),
  ),
});

/** The numbers of the connections with this name, the oldest first. */
export async function connectionsNamed(monitorUrl: string, name: string): Promise<readonly number[]> {
  const response = await fetch(new URL("/connz?auth=true&limit=1024", monitorUrl));
  const { connections } = CONNECTIONS.parse(await response.json());
  return connections
    .filter((each) => each.name === name)
    .map(({ cid }) => cid)
    .sort((a, b) => a - b);
}
