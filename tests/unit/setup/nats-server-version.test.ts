// What counts as a nats-server that Mycel can use.
import { describe, expect, test } from "vitest";

import { formatNatsServerVersion, isNewEnough, parseNatsServerVersion } from "../../../lib/nats/server/version.ts";

describe("the version that nats-server prints", () => {
  test.for([
    ["nats-server: v2.15.1", "2.15.1"],
    ["nats-server: v2.14.0-RC.1\n", "2.14.0-RC.1"],
    ["nats-server: 2.9.10", "2.9.10"],
    ["2.14.3", "2.14.3"],
  ])("%j is read as %s", ([text, version]) => {
    const parsed = parseNatsServerVersion(text!);
    expect(parsed && formatNatsServerVersion(parsed)).toBe(version);
  });

  test.for(["", "nginx version: nginx/1.22.1", "nats-server: v2.15", "nats-server: dev", "v2.15.1 of something"])(
    "%j is no nats-server",
    (text) => {
      expect(parseNatsServerVersion(text)).toBeUndefined();
    },
  );
});

describe("new enough", () => {
  test.for([
    ["2.13.9", false],
    ["2.14.0-RC.1", false],
    ["2.14.0", true],
    ["2.14.0-preview.2", false],
    ["2.15.1", true],
    ["2.100.0", true],
    ["3.0.0", true],
    ["1.99.99", false],
  ] as const)("%s: %s", ([text, expected]) => {
    expect(isNewEnough(parseNatsServerVersion(text)!)).toBe(expected);
  });
});
