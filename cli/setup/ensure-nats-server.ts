// Entry point of its own: finds or installs nats-server, prints its path on standard output and what it does on
// standard error. Decides nothing; `lib/nats/server/find-server.ts` does.
import { findNatsServer, NatsServerMissing } from "../../lib/nats/server/find-server.ts";

try {
  const { binary } = await findNatsServer({
    environment: process.env,
    report: (line) => process.stderr.write(`mycel: ${line}\n`),
  });
  process.stdout.write(`${binary}\n`);
} catch (error) {
  if (!(error instanceof NatsServerMissing)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
