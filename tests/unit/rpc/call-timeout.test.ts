import type { IncomingHttpHeaders } from "node:http";
import { expect, test } from "vitest";
import type { HttpRequest, HttpResponse } from "../../../lib/rpc/http-handler.ts";
import { withLongTimeouts } from "../../../lib/rpc/interceptors/call-timeout.ts";

function passed(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  let seen: IncomingHttpHeaders = {};
  const handler = withLongTimeouts((request) => {
    seen = request.headers;
  });
  handler({ headers } as HttpRequest, {} as HttpResponse);
  return seen;
}

test.for([
  { "grpc-timeout": "99999999H" },
  { "grpc-timeout": "597H" },
  { "grpc-timeout": "2147484S" },
  { "connect-timeout-ms": "2147483648" },
  { "connect-timeout-ms": "9999999999" },
])("a deadline that no timer can count is none: %o", (headers) => {
  expect(passed(headers)).toEqual({});
});

test.for([
  { "grpc-timeout": "596H" },
  { "grpc-timeout": "2147483647m" },
  { "grpc-timeout": "99999999u" },
  { "grpc-timeout": "soon" },
  { "grpc-timeout": "999999999H" },
  { "connect-timeout-ms": "2147483647" },
  { "connect-timeout-ms": "-1" },
  { "content-type": "application/grpc" },
])("everything else stays as it is: %o", (headers) => {
  expect(passed({ ...headers })).toEqual(headers);
});
