// A folder of trust for the nats-servers of a test process: made once, as its keys take longer to make than a server to start, and gone
// with the process.
import { readFileSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, credsAuthenticator } from "@nats-io/nats-core";
import type { ServerTrust } from "../../lib/nats/trust/server-trust.ts";
import { makeTrust, readServerTrust, TRUST_FILES } from "../../lib/nats/trust/trust-folder.ts";

/** Whom a server of a test trusts, and what proves to be trusted. */
export interface TestTrust {
  readonly dir: string;
  readonly server: ServerTrust;
  /** What a coordinator gets: the value of MYCEL_NATS_TRUST. */
  readonly coordinatorDir: string;
  /** Credentials of a test's own connections, which may do everything in the mesh's account. */
  readonly adminFile: string;
}

let made: Promise<TestTrust> | undefined;

/** The trust of this process. */
export async function testTrust(): Promise<TestTrust> {
  made ??= makeIn(tmpdir());
  return await made;
}

/** How a test itself connects to servers that have the trust of this process, or none. */
export async function accessTo(servers: string): Promise<Pick<ConnectionOptions, "servers" | "authenticator">> {
  const { adminFile } = await testTrust();
  return { servers: servers.split(","), authenticator: credsAuthenticator(readFileSync(adminFile)) };
}

/** A trust of its own, in a new folder of `parentDir`; whoever asks removes it. */
export async function makeIn(parentDir: string): Promise<TestTrust> {
  const parent = await mkdtemp(join(parentDir, "mycel-test-trust-"));
  process.once("exit", () => rmSync(parent, { recursive: true, force: true }));
  const dir = join(parent, "trust");
  await makeTrust(dir, Date.now());
  return {
    dir,
    server: await readServerTrust(dir),
    coordinatorDir: join(dir, TRUST_FILES.coordinator),
    adminFile: join(dir, TRUST_FILES.admin),
  };
}
