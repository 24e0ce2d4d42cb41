// Which headers callers may set.
import { expect, test } from "vitest";
import { headerProblem } from "../../../lib/outbound/request-headers.ts";

test.for(["accept", "Authorization", "x-api-key", "webhook-signature", "content-type", "traceparent"])(
  "%s may be set",
  (name) => {
    expect(headerProblem(name, "value")).toBeUndefined();
  },
);

test.for([
  "Host",
  "host",
  "Connection",
  "Content-Length",
  "Transfer-Encoding",
  "TE",
  "Trailer",
  "Upgrade",
  "Expect",
  "Keep-Alive",
  "Proxy-Authorization",
  "Proxy-Connection",
  "HTTP2-Settings",
])("%s may not be set", (name) => {
  expect(headerProblem(name, "value")).toBe("is not for callers to set");
});

test.for(["", "a b", "a:b", "a\r\nb", "ä", "\0"])("%j is no header name", (name) => {
  expect(headerProblem(name, "value")).toBe("is no header name");
});

test.for(["a\r\nb: c", "a\nb", "a\0b", "☃"])("%j is no header value", (value) => {
  expect(headerProblem("x", value)).toBe("has a character that HTTP does not carry");
});
