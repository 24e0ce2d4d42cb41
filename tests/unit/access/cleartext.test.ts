// When a coordinator says that others on the way can read what is sent.
import { expect, test } from "vitest";
import { cleartextWarnings } from "../../../services/coordinator/access/cleartext.ts";

const CALLERS = expect.stringContaining("callers' credentials come in cleartext");
const NATS = expect.stringContaining("on the way to NATS");
const FAR = "nats://nats.example:4222";

test.for<[host: string, tls: boolean, natsUrls: string[], natsTls: boolean, warnings: unknown[]]>([
  ["127.0.0.1", false, ["nats://127.0.0.1:4222"], false, []],
  ["::1", false, ["localhost:4222"], false, []],
  ["0.0.0.0", true, ["nats://127.0.0.1:4222"], false, []],
  ["0.0.0.0", false, ["nats://127.0.0.1:4222"], false, [CALLERS]],
  ["10.0.0.1", false, [FAR], true, [CALLERS]],
  ["127.0.0.1", false, [FAR], false, [NATS]],
  ["127.0.0.1", false, ["nats://127.0.0.1:4222", FAR], false, [NATS]],
  ["10.0.0.1", true, [FAR], true, []],
  ["10.0.0.1", true, ["tls://nats.example:4222"], false, []],
  ["10.0.0.1", false, [FAR], false, [CALLERS, NATS]],
])("at %s (TLS: %s) with NATS at %s (TLS: %s)", ([host, tls, natsUrls, natsTls, warnings]) => {
  expect(cleartextWarnings({ host, tls, natsUrls, natsTls })).toEqual(warnings);
});
