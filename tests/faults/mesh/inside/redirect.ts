// Sends a process's own connections through proxies: by configuration alone, agents could not have a proxy each, as they hear from the
// coordinators where the brokers are.
import { Socket } from "node:net";
import process from "node:process";

/** The variable that says which port of this machine leads where: `from:to`, comma-separated. */
const VARIABLE = "FAULT_REDIRECT";

const ports = new Map<number, number>(
  (process.env[VARIABLE] ?? "")
    .split(",")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [from = 0, to = 0] = pair.split(":").map(Number);
      return [from, to];
    }),
);

/** `destination` is what `connect` takes, plain or as `net.connect` has put it together. */
function redirect(destination: unknown): unknown {
  if (typeof destination === "number") return ports.get(destination) ?? destination;
  if (Array.isArray(destination)) {
    // The list is marked by its maker, so it is changed where it is.
    destination[0] = redirect(destination[0]);
    return destination;
  }
  if (typeof destination !== "object" || destination === null || !("port" in destination)) return destination;
  const to = ports.get(Number(destination.port));
  return to === undefined ? destination : { ...destination, port: to };
}

if (ports.size > 0) {
  // oxlint-disable-next-line typescript/unbound-method -- it is called on the socket that it is called for
  const { connect } = Socket.prototype;
  Socket.prototype.connect = function redirected(this: Socket, ...args: unknown[]): Socket {
    return Reflect.apply(connect, this, [redirect(args[0]), ...args.slice(1)]);
  };
}
