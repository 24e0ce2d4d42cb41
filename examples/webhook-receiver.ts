// A receiver of webhooks: it verifies each message, takes each event once, and answers before it works.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env["WEBHOOK_SECRET"] ?? "");
const seen = new Set<string>();

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  // As it came, byte for byte: parsed and written anew, it would have another signature.
  const body = await text(request);
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  try {
    webhook.verify(body, headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  response.writeHead(204).end();
  const id = headers["webhook-id"] ?? "";
  if (!seen.has(id)) console.log(id, body);
  seen.add(id);
}

const server = createServer((request, response) => void receive(request, response));
server.listen(Number(process.env["PORT"] ?? 9000), "127.0.0.1", () => console.log("receiving at", server.address()));
