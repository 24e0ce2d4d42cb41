// Where a redirect leads and what goes there: the whole table of statuses and methods, and what stays behind.
import { expect, test } from "vitest";
import type { OutboundError } from "../../../lib/outbound/outbound-error.ts";
import { type Hop, nextHop } from "../../../lib/outbound/redirect.ts";
import { readUrl } from "../../../lib/outbound/target.ts";

function aHop(hop: Partial<Hop> & { url?: string } = {}): Hop {
  const { url = "http://a.example/x?y", ...rest } = hop;
  return { target: readUrl(url), method: "GET", headers: new Map(), body: undefined, ...rest };
}

test.for<[number, string, string]>([
  [301, "GET", "GET"],
  [301, "HEAD", "HEAD"],
  [301, "POST", "GET"],
  [301, "PUT", "PUT"],
  [301, "DELETE", "DELETE"],
  [302, "GET", "GET"],
  [302, "POST", "GET"],
  [302, "PATCH", "PATCH"],
  [303, "GET", "GET"],
  [303, "HEAD", "HEAD"],
  [303, "POST", "GET"],
  [303, "PUT", "GET"],
  [303, "DELETE", "GET"],
  [307, "POST", "POST"],
  [307, "GET", "GET"],
  [308, "POST", "POST"],
  [308, "PUT", "PUT"],
])("after %i a %s becomes a %s", ([status, method, then]) => {
  const body = method === "GET" || method === "HEAD" ? undefined : "text";
  const headers = new Map([
    ["content-type", "text/plain"],
    ["accept", "*/*"],
  ]);
  const next = nextHop(aHop({ method, body, headers }), status, "/z");
  expect(next?.method).toBe(then);
  expect(next?.target.url.href).toBe("http://a.example/z");
  const lost = then !== method;
  expect(next?.body).toBe(lost ? undefined : body);
  expect([...(next?.headers.keys() ?? [])]).toEqual(lost ? ["accept"] : ["content-type", "accept"]);
});

test.for([200, 204, 300, 304, 305, 306, 309, 400, 500])("%i is no redirect", (status) => {
  expect(nextHop(aHop(), status, "/z")).toBeUndefined();
});

test("a redirect without a location is none", () => {
  expect(nextHop(aHop(), 302, undefined)).toBeUndefined();
});

const secrets = new Map([
  ["authorization", "Bearer x"],
  ["cookie", "a=b"],
  ["x-api-key", "x"],
  ["accept", "*/*"],
  ["user-agent", "me"],
]);

test.for<[string, string]>([
  ["another host", "http://b.example/"],
  ["another port", "http://a.example:81/"],
  ["another scheme", "https://a.example/"],
  ["a name below", "http://b.a.example/"],
])("only headers without secrets go to %s", ([, location]) => {
  const next = nextHop(aHop({ headers: secrets }), 307, location);
  expect([...(next?.headers.keys() ?? [])]).toEqual(["accept", "user-agent"]);
});

test("all headers go on within the origin", () => {
  expect(nextHop(aHop({ headers: secrets }), 307, "//a.example:80/q")?.headers).toEqual(secrets);
});

test.for<[string, string, string]>([
  ["https://a.example/", "http://a.example/", "the redirect of https://a.example leads from https to http"],
  ["http://a.example/", "file:///etc/passwd", "the redirect of http://a.example leads to no URL that may be followed"],
  [
    "http://a.example/",
    "http://u:p@b.example/",
    "the redirect of http://a.example leads to no URL that may be followed",
  ],
  ["http://a.example/", "http://[/", "the redirect of http://a.example leads to no URL that may be followed"],
  ["http://a.example/", "http://b.example:0/", "the redirect of http://a.example leads to no URL that may be followed"],
])("from %s no redirect leads to %s", ([url, location, line]) => {
  try {
    nextHop(aHop({ url }), 302, location);
    expect.unreachable();
  } catch (error) {
    expect([(error as OutboundError).code, (error as Error).message]).toEqual(["REDIRECT_REFUSED", line]);
  }
});
