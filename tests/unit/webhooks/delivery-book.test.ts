// What the holder knows of deliveries: lists with their filters and pages, and which version of a delivery counts.
import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test } from "vitest";
import { WebhookDeliveryRecordSchema } from "../../../gen/mycel/v1/webhook_log_pb.ts";
import { WebhookDeliverySchema, WebhookDeliveryState } from "../../../gen/mycel/v1/webhook_pb.ts";
import { ListWebhookDeliveriesRequestSchema } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { DeliveryBook } from "../../../services/coordinator/webhooks/delivery-book.ts";
import { filterOf, listDeliveries } from "../../../services/coordinator/webhooks/delivery-desk.ts";
import { decodePageToken } from "../../../services/coordinator/webhooks/page-token.ts";

const TENANT = "default";
const { PENDING, DELIVERED, FAILED } = WebhookDeliveryState;

let book = new DeliveryBook();
afterEach(() => {
  book[Symbol.dispose]();
  book = new DeliveryBook();
});

function put(
  deliveryId: string,
  change: {
    at?: number;
    endpoint?: string;
    task?: string;
    state?: WebhookDeliveryState;
    revision?: number;
    tenant?: string;
  },
): void {
  const { at = 1_000, endpoint = "e", task = "t", state = DELIVERED, revision = 1, tenant = TENANT } = change;
  const time = timestampFromMs(at);
  const delivery = create(WebhookDeliverySchema, {
    deliveryId,
    endpointId: endpoint,
    taskId: task,
    state,
    createTime: time,
    updateTime: time,
    body: "a body that no list shows",
    ...(state === PENDING ? { nextAttemptTime: time } : {}),
  });
  const record = { ...create(WebhookDeliveryRecordSchema, {}), delivery };
  book.put({ tenant, deliveryId, record, revision });
}

function list(request: object, tenant = TENANT) {
  return listDeliveries(book, tenant, create(ListWebhookDeliveriesRequestSchema, request));
}

function ids(request: object, tenant = TENANT): string[] {
  return list(request, tenant).deliveries.map(({ deliveryId }) => deliveryId);
}

describe("a list of deliveries", () => {
  test("is newest first, filtered by endpoint, task and states together, and of one tenant", () => {
    put("a", { at: 1, endpoint: "e1", task: "t1", state: DELIVERED });
    put("b", { at: 2, endpoint: "e2", task: "t1", state: FAILED });
    put("c", { at: 3, endpoint: "e1", task: "t2", state: PENDING });
    put("d", { at: 3, endpoint: "e1", task: "t2", state: FAILED });
    put("x", { at: 4, tenant: "other" });
    expect(ids({})).toEqual(["d", "c", "b", "a"]);
    expect(ids({ endpointId: "e1" })).toEqual(["d", "c", "a"]);
    expect(ids({ taskId: "t1" })).toEqual(["b", "a"]);
    expect(ids({ states: [FAILED, PENDING] })).toEqual(["d", "c", "b"]);
    expect(ids({ endpointId: "e1", taskId: "t2", states: [FAILED] })).toEqual(["d"]);
    expect(ids({ taskId: "t3" })).toEqual([]);
    expect(ids({}, "other")).toEqual(["x"]);
  });

  test("shows neither bodies nor attempts", () => {
    put("a", {});
    expect(list({}).deliveries[0]).toMatchObject({ body: "", attempts: [] });
  });

  test("comes in pages that hold everything once, also where many were made at the same time", () => {
    for (let i = 0; i < 25; i += 1) put(`d${String(i).padStart(2, "0")}`, { at: Math.floor(i / 10) });
    const found: string[] = [];
    let pageToken = "";
    do {
      const page = list({ pageSize: 4, pageToken });
      found.push(...page.deliveries.map(({ deliveryId }) => deliveryId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(found).toEqual(Array.from({ length: 25 }, (_, i) => `d${String(24 - i).padStart(2, "0")}`));
  });

  test("has page tokens that belong to its filter", () => {
    for (const id of ["a", "b"]) put(id, {});
    const { nextPageToken } = list({ pageSize: 1, states: [DELIVERED, FAILED] });
    const read = (request: object): unknown =>
      decodePageToken(filterOf(TENANT, create(ListWebhookDeliveriesRequestSchema, request)), nextPageToken);
    expect(read({ states: [FAILED, DELIVERED, FAILED] })).toEqual({ createMs: 1_000, deliveryId: "b" });
    expect(read({ states: [DELIVERED] })).toBeUndefined();
    expect(read({ states: [DELIVERED, FAILED], endpointId: "e" })).toBeUndefined();
  });
});

describe("a delivery", () => {
  test("is known in its latest version, whichever is put last", () => {
    put("a", { state: DELIVERED, revision: 7 });
    put("a", { state: PENDING, revision: 3 });
    expect(list({}).deliveries).toMatchObject([{ state: DELIVERED }]);
    expect(book.revisionOf(TENANT, "a")).toBe(7);
    expect(book.nextDueMs()).toBeUndefined();
  });

  test("that was taken is not taken again until it is put or postponed", () => {
    put("a", { state: PENDING, at: 5 });
    const [taken] = book.claimDue(`${TENANT}.e`, 5, 10);
    expect(taken).toMatchObject({ deliveryId: "a" });
    expect(book.claimDue(`${TENANT}.e`, 5, 10)).toEqual([]);
    expect(book.waitingReceivers()).toEqual([]);
    book.postpone(taken!, 9);
    expect(book.claimDue(`${TENANT}.e`, 8, 10)).toEqual([]);
    expect(book.claimDue(`${TENANT}.e`, 9, 10)).toHaveLength(1);
  });

  test("is forgotten when it is stored no longer", () => {
    put("old", { revision: 3 });
    put("again", { revision: 4 });
    put("new", { revision: 9 });
    put("again", { revision: 10 });
    book.forgetBefore(9);
    expect(ids({}).toSorted()).toEqual(["again", "new"]);
  });
});

test("whoever has something waiting is named once, in order", () => {
  for (const [i, endpoint] of ["c", "a", "b", "a"].entries()) put(`d${i}`, { endpoint, state: PENDING });
  put("done", { endpoint: "z" });
  expect(book.waitingReceivers()).toEqual(["default.a", "default.b", "default.c"]);
});
