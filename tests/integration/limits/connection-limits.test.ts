// What connections may cost, as an operator sets it, seen by those who connect.
import { once } from "node:events";
import * as http2 from "node:http2";
import { expect, test } from "vitest";
import { readConfig } from "../../../services/coordinator/config.ts";
import { openMesh } from "../../support/processes.ts";
import { openRawConnection } from "../../support/raw-connection.ts";

test("connections, calls and headers are bounded as it is set", async () => {
  await using mesh = await openMesh({
    env: { MYCEL_LIMIT_ADDRESS_CONNECTIONS: "1", MYCEL_LIMIT_STREAMS: "7", MYCEL_LIMIT_HEADER_BYTES: "2KiB" },
  });
  const url = mesh.urls[0]!;
  const session = http2.connect(url);
  const [settings] = (await once(session, "remoteSettings")) as [http2.Settings];
  expect(settings).toMatchObject({ maxConcurrentStreams: 7, maxHeaderListSize: 2_048 });
  await using second = await openRawConnection(Number(new URL(url).port));
  expect(await second.closed).toHaveLength(0);
  session.close();
  await once(session, "close");
});

test("a value that no listener could take is refused before anything is opened", () => {
  expect(() => readConfig({ MYCEL_LIMIT_STREAMS: "0" })).toThrow(
    'MYCEL_LIMIT_STREAMS (limits.maxStreams) must be a whole number from 1 to 100000, is "0"',
  );
});
