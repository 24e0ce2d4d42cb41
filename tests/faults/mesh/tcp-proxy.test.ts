// Each fault of a link, seen by both ends of real connections.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** One end of a connection, and what it has seen. */
interface End {
  readonly socket: Socket;
  readonly text: () => string;
  /** `open`, `ended` once the other has said that it sends no more, `reset` or `closed`. */
  readonly state: () => string;
}

let server: Server;
let proxy: TcpProxy;
let targets: End[];
let opened: Socket[];

beforeEach(async () => {
  targets = [];
  opened = [];
  server = createServer({ allowHalfOpen: true }, (socket) => targets.push(endOf(socket)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  proxy = await openTcpProxy({ targetPort: typeof address === "object" ? address!.port : 0 });
});

afterEach(async () => {
  for (const socket of opened) socket.destroy();
  await proxy[Symbol.asyncDispose]();
  server.close();
});

function endOf(socket: Socket): End {
  let text = "";
  let state = "open";
  opened.push(socket);
  socket.on("data", (bytes) => {
    text += bytes.toString();
  });
  socket.on("end", () => {
    state = "ended";
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    state = error.code === "ECONNRESET" ? "reset" : String(error.code);
  });
  socket.on("close", (hadError) => {
    if (!hadError) state = "closed";
  });
  return { socket, text: () => text, state: () => state };
}

/** Opens a connection through the proxy. */
async function dial(): Promise<End> {
  const client = endOf(connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true }));
  await once(client.socket, "connect");
  return client;
}

/** A connection over which a word went both ways. */
async function pair(): Promise<{ readonly client: End; readonly target: End }> {
  const before = targets.length;
  const client = await dial();
  client.socket.write("ask ");
  await expect.poll(() => targets[before]?.text()).toBe("ask ");
  const target = targets[before]!;
  target.socket.write("answer ");
  await expect.poll(client.text).toBe("answer ");
  return { client, target };
}

test("bytes and ends pass both ways, and the connection is forgotten after them", async () => {
  const { client, target } = await pair();
  client.socket.end("last");
  await expect.poll(target.state).toBe("ended");
  expect(target.text()).toBe("ask last");
  target.socket.end("x".repeat(1_000_000));
  await expect.poll(client.state).toBe("closed");
  expect(client.text()).toHaveLength(1_000_007);
  await expect.poll(() => proxy.connections).toBe(0);
});

test("a delay holds back what is sent, in order, and only the way it is asked for", async () => {
  const { client, target } = await pair();
  proxy.delay(150, 100, "out");
  const sentAt = performance.now();
  for (let i = 0; i < 10; i += 1) client.socket.write(String(i));
  target.socket.write("at once");
  await expect.poll(client.text).toBe("answer at once");
  expect(target.text()).toBe("ask ");
  await expect.poll(target.text, { interval: 5 }).toBe("ask 0123456789");
  expect(performance.now() - sentAt).toBeGreaterThanOrEqual(149);
});

test("what is late leaves at once when the delay is healed", async () => {
  const { client, target } = await pair();
  proxy.delay(60_000);
  client.socket.write("late");
  await expect.poll(() => client.socket.bytesWritten).toBe(8);
  await proxy.heal();
  await expect.poll(target.text).toBe("ask late");
});

test("a throttle lets so many bytes a second through", async () => {
  const { client, target } = await pair();
  proxy.throttle(10_000);
  const sentAt = performance.now();
  client.socket.write("x".repeat(3_000));
  await expect.poll(() => target.text().length, { interval: 5 }).toBe(3_004);
  expect(performance.now() - sentAt).toBeGreaterThanOrEqual(295);
});

test("in a black hole nothing passes, not even an end, and everything goes on where it stood when it is healed", async () => {
  const { client, target } = await pair();
  proxy.blackhole();
  client.socket.end("into the hole");
  const late = await dial();
  late.socket.write("nobody hears");
  await expect(Promise.race([once(target.socket, "data"), once(target.socket, "end"), turns(20)])).resolves.toBe(
    "silence",
  );
  expect(targets).toHaveLength(1);
  await proxy.heal();
  await expect.poll(target.state).toBe("ended");
  expect(target.text()).toBe("ask into the hole");
  await expect.poll(() => targets[1]?.text()).toBe("nobody hears");
});

test("a black hole one way leaves the other way open", async () => {
  const { client, target } = await pair();
  proxy.blackhole("in");
  target.socket.write("unheard");
  client.socket.write("heard");
  await expect.poll(target.text).toBe("ask heard");
  expect(client.text()).toBe("answer ");
  await proxy.heal();
  await expect.poll(client.text).toBe("answer unheard");
});

test("dropped bytes are gone while the connection lives, which is reset when it is healed", async () => {
  const { client, target } = await pair();
  proxy.dropAfter(4, "out");
  client.socket.write("passlost");
  await expect.poll(target.text).toBe("ask pass");
  client.socket.write("lost too");
  target.socket.write("still there");
  await expect.poll(client.text).toBe("answer still there");
  expect([target.text(), client.state(), target.state()]).toEqual(["ask pass", "open", "open"]);
  await proxy.heal();
  await expect.poll(client.state).toBe("reset");
  await expect.poll(target.state).toBe("reset");
  await pair();
});

test("a target never hears of a client that died behind a link that drops", async () => {
  const { client, target } = await pair();
  proxy.drop();
  client.socket.resetAndDestroy();
  await turns(20);
  expect([target.state(), proxy.connections]).toEqual(["open", 1]);
  await proxy.heal();
  await expect.poll(target.state).toBe("reset");
});

test("a cut resets every connection and refuses new ones until it is healed, on the same port", async () => {
  const { client, target } = await pair();
  await proxy.cut();
  await expect.poll(client.state).toBe("reset");
  await expect.poll(target.state).toBe("reset");
  const refused = endOf(connect({ port: proxy.port, host: "127.0.0.1" }));
  await expect.poll(refused.state).toBe("ECONNREFUSED");
  await proxy.heal();
  await pair();
});

test("a reset ends the connections that stand, and spares those to come", async () => {
  const { client, target } = await pair();
  proxy.reset();
  await expect.poll(client.state).toBe("reset");
  await expect.poll(target.state).toBe("reset");
  await pair();
});

test("a half-closed connection goes on the other way", async () => {
  const { client, target } = await pair();
  proxy.halfClose("in");
  await expect.poll(client.state).toBe("ended");
  client.socket.write("still talking");
  await expect.poll(target.text).toBe("ask still talking");
});

test("a client is reset when the target is gone", async () => {
  server.close();
  const client = await dial();
  await expect.poll(client.state).toBe("reset");
});

/** Lets everything happen that is going to, on loopback. */
async function turns(count: number): Promise<string> {
  const idle = createServer().listen(0, "127.0.0.1");
  await once(idle, "listening");
  const address = idle.address();
  for (let i = 0; i < count; i += 1) {
    const socket = connect(typeof address === "object" ? address!.port : 0, "127.0.0.1");
    await once(socket, "connect");
    socket.destroy();
  }
  idle.close();
  return "silence";
}
